"""One order of a build: the process that does it, and then ends.

It speaks on its control socket as runtime.archive.worker does: a descriptor of itself first. Then it waits for a byte
with open directories and a line of JSON, its order, and answers with lines: {"begun": null}, and at the end
{"done": value} or {"error": {"kind": …, "message": …}}. The first directory becomes its root; into the others it goes
by descriptors, each as the root of its paths. Nothing of any of them is ever executed, and Python imports nothing any
more.
"""

import errno
import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from errdefs import WherryError
from runtime.archive import writing
from runtime.copying import changes, digests
from runtime.copying.order import Selection, decode
from runtime.layers import confine
from runtime.layers.digesting import pack_layer
from runtime.layers.limits import DEFAULT
from runtime.shim import descriptors

_MAX_ORDER = 256 << 20  # bytes: the heredocs of a step
_DESCRIPTORS = 1024
_DIRECTORIES = 253  # SCM_MAX_FD
# The fault of whoever wrote the Dockerfile or made its files; all others are the host's.
# fmt: off
_REFUSED = frozenset((
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL,
    errno.EFBIG, errno.EOVERFLOW, errno.EXDEV,
))
# fmt: on


def run(control: socket.socket, data: int) -> None:
    """Do one order, or none if the socket closes; the process ends with it."""
    socket.send_fds(control, [b"."], [pidfd := os.pidfd_open(os.getpid())])
    os.close(pidfd)
    begun, passed = descriptors.receive(control, 1, _DIRECTORIES)
    if not begun:
        return
    lines = control.makefile("rb")
    order = json.loads(lines.readline(_MAX_ORDER))
    try:
        _tell(control, {"begun": None})
        _tell(control, _outcome(order, data, passed))
    except BrokenPipeError:
        pass  # nobody wants it any more


def _outcome(order: dict[str, Any], data: int, passed: Sequence[int]) -> dict[str, Any]:
    try:
        return {"done": _do(order, data, passed)}
    except WherryError as error:
        return _failed(type(error).__name__, error.message)
    except MemoryError:
        return _failed("InvalidArgument", "the files take too much memory to copy")
    except ValueError as error:  # a NUL in a path
        return _failed("InvalidArgument", str(error))
    except OSError as error:
        kind = "InvalidArgument" if error.errno in _REFUSED else "SystemFailure"
        where = f" {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        return _failed(kind, f"cannot copy{where}: {error.strerror}")


def _do(order: dict[str, Any], data: int, passed: Sequence[int]) -> Any:
    root, *sources = passed
    actions = [decode(action) for action in order.get("actions", ())]
    confine.limit(DEFAULT, descriptors=_DESCRIPTORS)
    os.umask(0)
    sys.meta_path.clear()
    if order["verb"] == "change":
        confine.enter(root, nested=changes.unpacks(actions))
        changes.make(actions, sources, order["epoch"])
    elif order["verb"] == "digest":
        wanted = Selection(*order["selection"])
        confine.enter(os.dup(root))
        return digests.of_selection(root, wanted)
    elif order["verb"] == "pack":
        (out,) = sources
        return pack_layer(root, out)
    elif order["verb"] == "digest path":
        confine.enter(os.dup(root))
        return digests.of_path(root, order["path"])
    else:
        confine.enter(root)
        writing.extract(data, DEFAULT, owner=order["owner"] and tuple(order["owner"]), keep_kinds=False)
    return None


def _failed(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message}}


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")
