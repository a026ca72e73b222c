"""Reading what containers wrote."""
