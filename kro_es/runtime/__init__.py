"""One instance at one moment: what each node should be, is, and waits for."""
