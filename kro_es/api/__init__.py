"""Kubernetes and kro words as immutable values; nothing here computes more than a field lookup."""
