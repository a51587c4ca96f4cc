"""The API server as a stand-in for it shows what is sent."""
