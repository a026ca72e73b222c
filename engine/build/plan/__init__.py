"""From a Dockerfile to steps: which stages, which vertices, and what the image will say of itself."""
