"""Commands of the whole gateway."""
