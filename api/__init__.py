"""The Engine API over HTTP: listeners, routes, version gates, errors, hijacked streams. No netlink, no runc."""
