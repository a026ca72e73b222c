"""Networks that users make: stored, made again at boot, found by name or ID."""
