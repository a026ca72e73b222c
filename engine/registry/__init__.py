"""The registry client: names to hosts, credentials to tokens, digests to bytes. HTTP stays in here."""
