"""Recorded logs that must fold to the same rows for ever; old ones are never recorded anew."""
