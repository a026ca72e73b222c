"""One SQLite file: a writer thread with group commit."""
