"""Folds over the event log: (state or None, event) to state."""
