"""Layer archives to directories, in a confined worker."""
