"""Steps made real: each once, at the same time where that is possible, and not at all where the cache has it."""
