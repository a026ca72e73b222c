"""Death on demand, for the crash tests: the daemon kills itself right after a named step.

The switch is the environment variable `WHERRY_FAULT`, read once when the daemon starts and only by a daemon whose
command line says `--fault-points`, a flag that no help text shows and no configuration file may set.
"""

import os
import signal

PLAIN = (
    "exit.released",
    "exit.recorded",
    "stop.marked",
    "restart.stopped",
    "pause.frozen",
    "commit.frozen",
    "health.recorded",
    "unhealthy.marked",
)
"""Points of verbs that need no undo stack: each leaves a state from which the next boot goes on."""

_armed = ""


def arm() -> None:
    """Take the step to die at, "verb.step", from the environment (called for `--fault-points` alone)."""
    global _armed
    _armed = os.environ.get("WHERRY_FAULT", "")


def of_shims() -> str:
    """The armed step, if it is one of the shims or of the zygote (runtime.shim.faults), else ""."""
    return _armed if _armed.startswith(("shim.", "zygote.")) else ""


def hit(point: str) -> None:
    """Die here, as by `kill -9`, if this point is the armed one."""
    if _armed and point == _armed:
        os.kill(os.getpid(), signal.SIGKILL)
