"""The Dockerfile language, up to what dockerfile 1.x of BuildKit has: pure, no file is read here."""
