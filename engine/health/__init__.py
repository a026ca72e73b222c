"""Health checks: when a container is probed, what the results say of it, and what follows."""
