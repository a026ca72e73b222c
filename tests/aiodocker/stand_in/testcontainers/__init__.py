"""Stands for the package `testcontainers` in aiodocker's tests, which have nothing but registries in containers."""
