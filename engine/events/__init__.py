"""What happened: stored with retention, and told to whoever listens."""
