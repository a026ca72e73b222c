"""Where the last records of a log begin. Blocks."""

import os
from collections.abc import Sequence

from engine.logs.opened import OpenFile

_BLOCK = 256 * 1024


def start(files: Sequence[OpenFile], tail: int | None) -> tuple[OpenFile, int]:
    """The file and offset at which the last `tail` records begin (None: all). Files, at least one, are oldest first."""
    if tail is None or tail < 0:
        return files[0], 0
    wanted = tail
    for file in reversed(files):
        offset, found = tail_offset(file.content, wanted)
        wanted -= found
        if wanted <= 0:
            return file, offset
    return files[0], 0


def tail_offset(fd: int, wanted: int) -> tuple[int, int]:
    """Where the last `wanted` whole lines of a file begin, and how many there are (fewer: the file is short).

    Read in blocks from the end; a line without its end does not count, and comes along.
    """
    size = os.fstat(fd).st_size
    found, position = -1, size  # the newline at the very end begins no line
    while position > 0:
        begin = max(position - _BLOCK, 0)
        block = os.pread(fd, position - begin, begin)
        count = block.count(b"\n")
        if found + count >= wanted:
            return begin + _nth_newline_from_end(block, wanted - found) + 1, wanted
        found += count
        position = begin
    return 0, max(found + 1, 0) if size and found >= 0 else 0


def _nth_newline_from_end(block: bytes, number: int) -> int:
    end = len(block)
    for _ in range(number):
        end = block.rfind(b"\n", 0, end)
    return end
