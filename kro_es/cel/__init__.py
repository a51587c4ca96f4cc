"""kro's expression language as a line of stages: parse, check, compile, evaluate; no client, no clock."""
