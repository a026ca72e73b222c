"""Images: references, the store, load, import, tag, remove."""
