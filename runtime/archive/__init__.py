"""Files into and out of containers: a process of ours that sees a container's files, and executes none of them."""
