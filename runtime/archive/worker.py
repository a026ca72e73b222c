"""One copy: the process that goes into a container's files and does what it is asked there.

It speaks on its control socket: a descriptor of itself first. Then it waits for a byte, with a descriptor of a running
container's mount namespace, and a line of JSON, its order, and answers with lines: {"begun": null}, {"found": the
file's facts or null} once it is inside and knows the place, {"done": null} or {"error": {"kind": …, "message": …}} at
the end. The archive goes over another descriptor. Nothing of the container is ever executed: mounts are noexec, and
Python imports nothing any more.
"""

import json
import os
import socket
import sys
from typing import Any

from errdefs import WherryError
from runtime.archive import reading, resource, view, writing
from runtime.archive.order import View
from runtime.layers import confine
from runtime.layers.limits import DEFAULT
from runtime.shim import descriptors

_MAX_ORDER = 16 << 20  # bytes


def run(control: socket.socket, data: int) -> None:
    """Do one order, or none if the socket closes; the process ends with it."""
    socket.send_fds(control, [b"."], [pidfd := os.pidfd_open(os.getpid())])
    os.close(pidfd)
    begun, passed = descriptors.receive(control, 1, 1)
    if not begun:
        return
    lines = control.makefile("rb")
    order = json.loads(lines.readline(_MAX_ORDER))
    try:
        _tell(control, {"begun": None})
        _do(order, control, data, passed[0] if passed else None)
        _tell(control, {"done": None})
    except WherryError as error:
        _fail(control, type(error).__name__, error.message)
    except MemoryError:
        _fail(control, "InvalidArgument", "the archive takes too much memory to unpack")
    except BrokenPipeError:
        pass  # nobody wants it any more
    except OSError as error:
        _fail(control, "SystemFailure", f"cannot copy: {error.strerror}")


def _do(order: dict[str, Any], control: socket.socket, data: int, namespace: int | None) -> None:
    path = order["path"]
    confine.limit(DEFAULT)
    os.umask(0)
    sys.meta_path.clear()
    seen = View.decode(order["view"])
    view.enter(seen, namespace)
    confine.enter(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    if order["verb"] == "stat":
        _tell(control, {"found": resource.facts(path, resource.base(path))})
    elif order["verb"] == "get":
        path = resource.absolute(path)
        _tell(control, {"found": resource.facts(path, resource.base(path))})
        reading.write(path, data, order["encoding"], seen.identity)
    else:
        into = writing.enter(resource.absolute(path))
        writing.require_writable(into, seen.parts, read_only=seen.read_only)
        owner = writing.owner(order["user"]) if order["user"] else None
        _tell(control, {"found": None})
        writing.extract(
            data,
            DEFAULT,
            owner=owner,
            keep_kinds=order["keep_kinds"],
            identity=seen.identity,
            may_fork=True,
        )


def _fail(control: socket.socket, kind: str, message: str) -> None:
    _tell(control, {"error": {"kind": kind, "message": message}})


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")
