"""The networks that each daemon has, whoever uses it."""

NAMES = frozenset(("bridge", "host", "none"))
RESERVED = NAMES | {"default"}
"""Names that no network of a user may have: `default` is a network mode."""
