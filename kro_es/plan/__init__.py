"""What to write, in which order, and which fields of a live object are ours."""
