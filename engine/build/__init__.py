"""Builds: from a Dockerfile and its files to images, whichever API asks."""
