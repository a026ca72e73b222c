"""The frames of a zstd file, by their headers alone (RFC 8878, section 3.1)."""

import os

SKIPPABLE = b"\x2a\x4d\x18"
_DICTIONARY_ID_SIZE = (0, 1, 2, 4)
_CONTENT_SIZE_SIZE = (0, 2, 4, 8)
_RUN_LENGTH = 1


def zstd_complete(fd: int, start: int) -> bool:
    """Tell whether the last frame of a file that decompresses from `start` on ends within the file."""
    size = os.fstat(fd).st_size
    at = start
    while at < size:
        head = os.pread(fd, 8, at)
        if len(head) < 8:
            return False
        if head[1:4] == SKIPPABLE:
            at += 8 + int.from_bytes(head[4:8], "little")
        else:
            at = _frame_end(fd, at, head[4])
    return at == size


def _frame_end(fd: int, start: int, descriptor: int) -> int:
    """Return where the frame ends, beyond the file when it is cut short."""
    at = start + header_size(descriptor)
    last = 0
    while not last:
        block = os.pread(fd, 3, at)
        if len(block) < 3:
            return at + 3
        last = block[0] & 1
        at += block_size(block)
    return at + checksum_size(descriptor)


def header_size(descriptor: int) -> int:
    """Return the bytes of a frame's header, by its fifth one."""
    single = descriptor >> 5 & 1
    content_size = _CONTENT_SIZE_SIZE[descriptor >> 6] or single
    return 5 + (1 - single) + _DICTIONARY_ID_SIZE[descriptor & 3] + content_size


def checksum_size(descriptor: int) -> int:
    """Return the bytes that follow a frame's last block."""
    return 4 * (descriptor >> 2 & 1)


def block_size(header: bytes) -> int:
    """Return the bytes of a block with its header, which are the first three."""
    number = int.from_bytes(header, "little")
    return 3 + (1 if number >> 1 & 3 == _RUN_LENGTH else number >> 3)
