"""Plugins by Docker's protocol: found, activated, called. What they do is known elsewhere."""
