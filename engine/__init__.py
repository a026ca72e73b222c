"""The domain: containers, images, events, logs, state, configuration. No HTTP."""
