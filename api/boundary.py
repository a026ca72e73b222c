"""Requests that say both how long their body is and that it is chunked, as docker-py sends streams.

Chunked wins, as in Go's server, and the connection ends with the answer (RFC 9112, 6.1). aiohttp's parser refuses them
altogether, so the length is taken out of the head before the parser sees it. That is done only to bytes that are a
head beyond doubt: on a connection where each request before ended where its own head had said, and nothing was sent
behind it. All others stay refused.
"""

import re

_END = b"\r\n\r\n"
_TELLING = re.compile(
    rb"\r\n(content-length|transfer-encoding|upgrade)(?::([^\r]*)|(?=\r|\Z))", re.IGNORECASE
)
_PLAIN = re.compile(rb"[^ \t\r\n][^\r\n]*(?:\r\n[^ \t\r\n][^\r\n]*)*")
"""A head each line of which ends by CRLF, and none of which is empty or folded."""
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CLOSE = b"Connection: close"


class Boundary:
    """Follows one connection. Pure: bytes in, bytes out."""

    def __init__(self) -> None:
        self._sure = True  # that the next byte is a request's first, or that `_expected` is right
        self._got = 0  # bytes of the request so far
        self._expected: int | None = 0  # bytes of it with its body; None if that is chunked
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """What the parser is to see of the data that came."""
        if not self._sure:
            return data
        begins = self._got == 0
        self._got += len(data)
        self._last = (self._last + data[-len(_END) :])[-len(_END) :]
        return self._begin(data) if begins else data

    def answered(self, *, alone: bool) -> None:
        """The request was answered; `alone` if its body has come whole and the parser has seen no other request."""
        ended = self._last == _END if self._expected is None else self._got == self._expected
        self._sure = self._sure and alone and ended
        self._got, self._last = 0, b""

    def _begin(self, data: bytes) -> bytes:
        end = data.find(_END)
        head = data[: max(end, 0)]
        if not _PLAIN.fullmatch(head):
            self._sure = False
            return data
        fields = [(name.lower(), value.strip(b" \t")) for name, value in _TELLING.findall(head)]
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
        upgrades = len(fields) > len(lengths) + len(codings)
        whole = len(lengths) <= 1 and all(map(_LENGTH.fullmatch, lengths))
        usual = data.endswith(b" HTTP/1.1", 0, data.find(b"\r\n")) and not upgrades
        if not whole or not usual or codings not in ([], [b"chunked"]):
            self._sure = False
            return data
        if not codings:
            self._expected = end + len(_END) + (int(lengths[0]) if lengths else 0)
            return data
        self._expected = None
        if not lengths:
            return data
        self._sure = False
        kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        return b"\r\n".join([*kept, _CLOSE]) + data[end:]
