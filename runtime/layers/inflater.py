"""The process that decompresses an archive on its way in.

Descriptors: 3 a socket, which gives what is compressed and takes what comes out; 4 a pipe for one line of JSON,
{"inflated": {}} or {"error": message}. It can open nothing and has no privileges.
"""

import contextlib
import json
import os
import socket

from errdefs import InvalidArgument
from runtime.layers import confine
from runtime.layers.decompression import Decompression
from runtime.layers.limits import DEFAULT

_STREAM, _REPORT = 3, 4
_READ = 1 << 18


def main() -> None:
    """Decompress until the end, and report."""
    confine.end_with_parent()
    confine.limit(DEFAULT)
    stream = socket.socket(fileno=_STREAM)
    confine.renounce()
    try:
        _inflate(stream)
    except InvalidArgument as error:
        _report({"error": error.message})
    except MemoryError:
        _report({"error": "invalid archive: it takes too much memory to unpack"})
    except OSError:
        return  # nobody waits for us any more
    else:
        _report({"inflated": {}})


def _inflate(stream: socket.socket) -> None:
    decompression = Decompression()
    while data := stream.recv(_READ):
        for piece in decompression.feed(data):
            stream.sendall(piece)
    for piece in decompression.finish():
        stream.sendall(piece)


def _report(message: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(_REPORT, json.dumps(message).encode() + b"\n")
