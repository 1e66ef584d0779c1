"""`run` and `demo`."""
