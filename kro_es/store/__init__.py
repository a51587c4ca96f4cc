"""The event log, its projections' rows and checkpoints, on SQLite and PostgreSQL."""
