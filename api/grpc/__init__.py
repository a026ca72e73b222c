"""gRPC over HTTP/2, in either role, on connections that HTTP/1.1 gave away or that begin with HTTP/2."""
