"""COPY, ADD and WORKDIR: files put into a root, and what they are as a part of cache keys."""
