"""Places at which a test may have a zygote or a shim killed. Armed only by the zygote's `--fault`
argument.
"""

from __future__ import annotations

import os
import signal

STEPS = (
    "zygote.received",
    "zygote.forked",
    "shim.born",
    "shim.bound",
    "shim.creating",
    "shim.created",
    "shim.starting",
    "shim.started",
    "shim.exec-launching",
    "shim.exec-launched",
    "shim.probing",
    "shim.reaped",
    "shim.drained",
    "shim.exit-written",
    "shim.notified",
    "shim.deleted",
    "shim.unlinked",
)

_armed = ""


def arm(step: str) -> None:
    """Have this process, and those forked from it, die at `step`. Raises ValueError for an unknown step."""
    global _armed
    if step not in STEPS:
        raise ValueError(f"unknown fault point {step}")
    _armed = step


def point(step: str) -> None:
    """Die by SIGKILL if `step` is armed; a shim leaves word in its shim.log, so that a test knows it was
    hit.
    """
    if step == _armed:
        os.write(2, f"fault {step}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
