"""Network stacks of containers: sandboxes, endpoints, drivers, addresses, ports, rules."""
