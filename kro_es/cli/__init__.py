"""The two console programs; settings are read here and passed down as values."""
