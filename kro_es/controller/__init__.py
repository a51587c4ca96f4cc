"""The loop: ingest, project, queue, reconcile; wiring in one place."""
