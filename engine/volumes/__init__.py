"""Volumes: which there are, who uses them, and how they are filled."""
