"""The bytes of a blob as they come."""

import re
from collections.abc import AsyncIterator
from http import HTTPStatus

import errdefs
from engine.registry.errors import Transient
from engine.registry.messages import Answer

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


class Blob:
    """An asynchronous iterator of what is left of a blob from `offset` on: exactly that many bytes, or a failure.

    `offset` is what was asked for, or 0 where the host gives the whole blob only: then begin anew. The digest is
    not verified here, but by who stores the bytes.
    """

    def __init__(self, answer: Answer, digest: str, offset: int, size: int) -> None:
        self.offset = _start(answer, digest, offset, size)
        self._digest = digest
        self._size = size
        self._chunks = self._exactly(answer)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def _exactly(self, answer: Answer) -> AsyncIterator[bytes]:
        left = self._size - self.offset
        async for chunk in answer.chunks():
            left -= len(chunk)
            if left < 0:
                raise errdefs.SystemFailure(
                    f"blob {self._digest} is longer than the {self._size} bytes announced"
                )
            yield chunk
        if left:
            raise Transient(f"blob {self._digest}: unexpected EOF, {left} of {self._size} bytes are missing")


def _start(answer: Answer, digest: str, offset: int, size: int) -> int:
    """Where the answer begins. SystemFailure if it is not of this blob."""
    start, total = 0, answer.length
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        found = _CONTENT_RANGE.fullmatch(answer.header("Content-Range").strip())
        if found is None or int(found[1]) != offset:
            raise errdefs.SystemFailure(
                f"blob {digest}: the answer does not begin at byte {offset}, as it was asked for"
            )
        start, total = offset, None if found[3] == "*" else int(found[3])
    if total is not None and total != size:
        raise errdefs.SystemFailure(f"blob {digest} has {total} bytes instead of the {size} announced")
    return start
