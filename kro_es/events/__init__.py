"""The things that happened, one frozen type each, and their stored form."""
