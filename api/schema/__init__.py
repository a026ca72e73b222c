"""Bodies of requests and answers, as the API contract names them."""
