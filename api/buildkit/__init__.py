"""BuildKit's API, as buildx speaks it: builds over gRPC, with a session in which the client serves the daemon."""
