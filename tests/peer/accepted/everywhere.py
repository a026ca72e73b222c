"""Accepted differences that any answer may have."""

from tests.peer.accepted.line import Accepted

NO_ROUTE = "(no route)"

LINES: tuple[Accepted, ...] = (
    Accepted(NO_ROUTE, "headers.server!", "else it would be the name of our HTTP library"),
)
