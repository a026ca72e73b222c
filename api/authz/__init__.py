"""Authorization plugins by Docker's protocol: each request and each answer passes all of them, or is refused."""
