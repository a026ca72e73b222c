"""The ruleset as a value, and libnftables to apply it."""
