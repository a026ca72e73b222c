"""The output of an exec as its start asked for it, whatever the create request said.

Docker decides by the start's `Tty` alone whether output is framed, and docker-py leaves it out when it starts an
exec that was made with a terminal.
"""

from collections.abc import Callable

from api import multiplex
from api.hijack import Attachment

_Convert = Callable[[bytes], bytes]


def as_asked(attachment: Attachment, *, made_terminal: bool, asked_terminal: bool) -> Attachment:
    """The attachment, its output framed unless a terminal was asked for.

    Of two outputs that are to come raw only stdout is given, as in Docker.
    """
    if made_terminal == asked_terminal:
        return attachment
    if made_terminal:
        return _Converted(attachment, lambda data: multiplex.frame(multiplex.STDOUT, data))
    return _Converted(attachment, multiplex.Unframer(multiplex.STDOUT).feed)


class _Converted:
    """An attachment whose output goes through a conversion."""

    def __init__(self, attachment: Attachment, convert: _Convert) -> None:
        self._attachment = attachment
        self._convert = convert
        self.write = attachment.write
        self.write_eof = attachment.write_eof
        self.leave = attachment.leave
        self.close = attachment.close

    async def read(self) -> bytes:
        """The next output, b"" at its end alone."""
        while data := await self._attachment.read():
            if converted := self._convert(data):
                return converted
        return b""
