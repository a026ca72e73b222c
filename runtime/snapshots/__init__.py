"""Filesystems of containers and images: layers stacked on layers."""
