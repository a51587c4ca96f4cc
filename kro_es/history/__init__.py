"""Questions to the log and rollback, for people and scripts."""
