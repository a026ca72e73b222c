"""The process beside each running container, and the zygote that forks it. Standard library only."""
