"""Where both columns meet: inputs at one log position to a decision, and a decision to events."""
