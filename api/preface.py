"""Connections that begin with HTTP/2 and not with a request: clients that know that the daemon speaks it (h2c)."""

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Preface:
    """Looks at the first bytes of a connection. Pure.

    `found` is None until it is known whether they are HTTP/2's.
    """

    def __init__(self) -> None:
        self._seen = b""
        self.found: bool | None = None

    def feed(self, data: bytes) -> bytes:
        """What can be passed on of all that has come; nothing while it is not known to whom."""
        if self.found is not None:
            return data
        self._seen += data
        known = self._seen[: len(PREFACE)]
        if not PREFACE.startswith(known):
            self.found = False
        elif len(known) == len(PREFACE):
            self.found = True
        else:
            return b""
        seen, self._seen = self._seen, b""
        return seen
