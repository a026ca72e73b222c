"""Accepted differences of builds."""

from tests.peer.accepted.line import Accepted

CLIENTS_FAULT = "a client's fault is a 400"
DECODER = "the words of Go's decoder"
BUILD = "POST /build"

LINES: tuple[Accepted, ...] = (
    Accepted("POST /grpc", "status", CLIENTS_FAULT),
    Accepted("POST /grpc", "headers.(status line)", CLIENTS_FAULT),
    *(
        Accepted(BUILD, "status", CLIENTS_FAULT, request)
        for request in ("?t=A%3A1 ", "?t=a%40", "?shmsize=x", "?remote=foo")
    ),
    *(
        Accepted(BUILD, "body.message", DECODER, request)
        for request in ("?buildargs=x", "?labels=x", "?cachefrom=x", "?ulimits=x")
    ),
)
