"""The Kubernetes API, the only package that talks to it; its errors become ours here."""
