"""Accepted differences of copies from and to containers."""

from tests.peer.accepted.line import Accepted

CLIENTS_FAULT = "a client's fault is a 400"
OWN_WORDS = "our archive reader's words"

HEAD, GET, PUT = (f"{method} /containers/{{name}}/archive" for method in ("HEAD", "GET", "PUT"))
NOWHERE = ("path=/d/f/", "path=/loop", "path=xxx", "path=%00", "path=/d/l/")

LINES = (
    *(Accepted(endpoint, "status", CLIENTS_FAULT, path) for endpoint in (HEAD, GET) for path in NOWHERE),
    *(Accepted(PUT, "status", CLIENTS_FAULT, path) for path in ("path=/d", "path=/loop", "peer-ro")),
    Accepted(PUT, "status", CLIENTS_FAULT, "path=/tgt"),
    Accepted(PUT, "body.message", OWN_WORDS, "path=/tgt garbage"),
    Accepted(PUT, "body.message", OWN_WORDS, "path=/tgt xxx"),
    Accepted(PUT, "body.message", OWN_WORDS, "path=/tgt a\0\0"),
    Accepted(PUT, "body.message", OWN_WORDS, "path=/d/sub a\0\0"),
    Accepted(PUT, "body.message", OWN_WORDS, "path=/tgt \x1f\x8b"),
    Accepted(PUT, "body.message", OWN_WORDS, "path=/tgt BZh9"),
    Accepted(PUT, "*", "what cannot be linked is said, and not that a file is missing", "path=/tgt h\0"),
    Accepted(PUT, "*", "what is mounted there is told by its name in the archive", "path=/etc hosts"),
)
