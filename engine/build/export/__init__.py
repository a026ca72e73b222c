"""Where the results of builds go: images, archives, files, registries, caches elsewhere."""
