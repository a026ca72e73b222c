"""Where an upgrade request ends and its stream begins, in the bytes of a connection.

aiohttp's parser drops what follows the body of an upgrade request (`docker exec -i` sends JSON, then input). An
upgrade to WebSocket is its own business: that is left to it.
"""

import re

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,10})[ \t]*(?=\r\n)")
_CHUNKED = b"\r\ntransfer-encoding:"
_UPGRADE = b"\r\nupgrade:"
_WEBSOCKET = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n")


class Splitter:
    """Divides what arrives into HTTP and stream. Pure: bytes in, bytes out."""

    def __init__(self) -> None:
        self._head = b""
        self._http_left: int | None = None  # bytes of HTTP before the stream, once the head is known
        self._plain = False

    def reset(self) -> None:
        """The request was answered; another head follows."""
        self._head, self._http_left, self._plain = b"", None, False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The part of the data that is HTTP, and the part behind an upgrade request."""
        if self._plain:
            return data, b""
        if self._http_left is None:
            before = len(self._head)
            self._head += data
            self._look_at_head(before)
            if self._http_left is None:
                return data, b""
        http, stream = data[: self._http_left], data[self._http_left :]
        self._http_left -= len(http)
        return http, stream

    def _look_at_head(self, before: int) -> None:
        """Once the head is whole: how many of the bytes from `before` on are HTTP, if it asks to upgrade."""
        end = self._head.find(_HEAD_END)
        if end < 0:
            return
        head = self._head[: end + 2].lower()
        if _UPGRADE not in head or _CHUNKED in head or _WEBSOCKET.search(head):
            self._plain, self._head = True, b""
            return
        length = _LENGTH.search(head)
        whole = end + len(_HEAD_END) + (int(length[1]) if length else 0)
        self._http_left, self._head = max(whole - before, 0), b""
