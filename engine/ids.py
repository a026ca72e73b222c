"""Identifiers: 64 hex digits, as Docker's, of which people type the first twelve."""

import secrets

LENGTH = 64
SHORT_LENGTH = 12


def new_id() -> str:
    """A new random identifier of 64 hex digits.

    The first twelve are never all decimal: a short id is a container's host name, and a host name of digits
    alone is taken for a number by some resolvers.
    """
    while True:
        identifier = secrets.token_hex(LENGTH // 2)
        if not identifier[:SHORT_LENGTH].isdecimal():
            return identifier


def short(identifier: str) -> str:
    """The first twelve digits, without an algorithm in front (`sha256:`)."""
    return identifier.rpartition(":")[2][:SHORT_LENGTH]
