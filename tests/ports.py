"""Ports of loopback that no other test, of this run or another, is given meanwhile.

The kernel gives none of them to anybody by itself: of those that it gives a connection may get one, even that of who
tries whether somebody listens there, and so meets itself.
"""

import itertools
import socket
from contextlib import suppress

_FIRST, _BLOCKS, _SIZE = 24_000, 32, 250


def _claim() -> tuple[socket.socket, range]:
    """Take a block of ports for as long as this process lives; each network namespace has its own blocks."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for number in range(_BLOCKS):
        with suppress(OSError):
            claim.bind(f"\0wherry-tests/ports/{number}")
            return claim, range(_FIRST + number * _SIZE, _FIRST + (number + 1) * _SIZE)
    raise AssertionError("no free block of ports: too many runs of the tests at once")


_CLAIM, _BLOCK = _claim()
_rotation = itertools.cycle(_BLOCK)


def free_port() -> int:
    """A port where nobody listens, the one in the longest time that was not asked for."""
    for port in itertools.islice(_rotation, _SIZE):
        with suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
