"""Where Python puts the objects of a process that is to be forked.

Its allocator keeps pools of 16 KiB, each for blocks of one size, and takes free blocks in pools that are in use first.
A child that did so would have a page of its own for nearly each object that it makes.
"""

from __future__ import annotations

_POOL = 1 << 14
_HEADER = 48
_STEP = 16
_LARGEST = 512
_MOST = 4 * _POOL  # bytes of one size; where memory is kept in another way, so much is lost at most
_BYTES_HEAD = 33


def fill_holes() -> list[object]:
    """Return objects that take the free blocks of the pools in use, and are to be kept; new ones get fresh pools."""
    taken: list[object] = []
    for size in range(_STEP, _LARGEST + 1, _STEP):
        for number in range(_MOST // size):
            block = _object_of(size, number)
            if id(block) % _POOL == _HEADER:  # the first block of a pool
                break
            taken.append(block)
    return taken


def _object_of(size: int, number: int) -> object:
    """Return a new object without a garbage collector's head that takes so much."""
    if size == 16:
        return object()
    if size == 32:
        return float(number)
    return bytes(size - _BYTES_HEAD)
