"""Containers: the record, its states, and a verb a file."""
