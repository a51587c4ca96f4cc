"""Checks on definitions without a cluster."""
