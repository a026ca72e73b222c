"""Address pools."""
