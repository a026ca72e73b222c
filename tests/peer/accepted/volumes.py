"""Accepted differences of volumes."""

from tests.peer.accepted.line import Accepted

LINES: tuple[Accepted, ...] = ()
