"""The OCI runtime spec as a value: pure functions from resolved options to what the runtime reads."""
