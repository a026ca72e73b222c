"""An archive that is unpacked while it is still being written."""

import os
from contextlib import suppress
from typing import Self


class Growing:
    """A file that grows, and a pipe that tells its reader so: a byte for more, its end for all. Plain, not compressed.

    `archive` and `more` are what the reader gets, `tell` is for whoever writes (`grown`). `end` says that all is there.
    """

    def __init__(self, archive: int) -> None:
        """Take over a descriptor that reads the file from its beginning."""
        self.archive = archive
        self.more, self.tell = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.tell, False)

    def end(self) -> None:
        """All is there; whoever wrote it has closed its `tell`."""
        tell, self.tell = self.tell, -1
        if tell >= 0:
            os.close(tell)

    def __enter__(self) -> Self:
        """Nothing more to open."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close all."""
        self.end()
        os.close(self.more)
        os.close(self.archive)


def grown(tell: int) -> None:
    """There may be more to read."""
    with suppress(BlockingIOError):  # then enough was told that was not yet heard
        os.write(tell, b".")
