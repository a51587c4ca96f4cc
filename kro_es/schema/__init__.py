"""SimpleSchema and OpenAPI: what a definition's API looks like, without a cluster."""
