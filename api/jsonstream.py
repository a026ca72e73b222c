"""Chunked streams of JSON messages: progress of long work, and errors that come after the first byte."""

from api import errors, web
from api.call import Call
from engine.progress import Message

CONTENT_TYPE = "application/json"


class JSONStream:
    """A `Stream` that writes each message as a line. Its head is sent with the first one."""

    def __init__(self, call: Call, content_type: str = CONTENT_TYPE) -> None:
        self._call = call
        self._content_type = content_type
        self._response: web.StreamResponse | None = None

    async def __call__(self, *messages: Message) -> None:
        """Send messages in one piece; waits while the client does not read."""
        if self._response is None:
            self._response = await self._call.stream(self._content_type, at_once=False)
        lines = b"".join(map(errors.encode, messages))
        await self._response.write(lines.replace(b"\n", b"\r\n"))

    async def fail(
        self, error: Exception, where: str, *, by_status: bool = True, code: int = 0
    ) -> web.StreamResponse:
        """Report a failure: as the stream's last message, with a code; if nothing was sent yet, and unless told not
        to, by status.
        """
        if self._response is None and by_status:
            raise error
        _, text = errors.describe(error, where)
        await self(Message.failure(text, code))
        return await self.end()

    async def end(self) -> web.StreamResponse:
        """The response; an empty one if there was no message."""
        if self._response is None:
            self._response = await self._call.stream(self._content_type)
        return self._response
