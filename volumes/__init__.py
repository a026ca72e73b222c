"""Volumes, and the mount points of a container."""
