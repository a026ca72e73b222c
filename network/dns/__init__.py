"""The embedded DNS: names of a container's networks at 127.0.0.11, everything else from the host's nameservers."""
