"""What a health check runs in a container, and how: as an exec by the runtime, or put inside by the shim itself."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from runtime.shim import entry
from runtime.spec.capabilities import ALL

_PLAIN = frozenset(
    ("args", "env", "cwd", "terminal", "user", "capabilities", "noNewPrivileges", "oomScoreAdj", "rlimits")
)
_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
_LIMITS = (
    "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
    "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
)  # fmt: skip
"""By the kernel's number (include/uapi/asm-generic/resource.h)."""
_INFINITY = 1 << 63


class ProbeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A probe to run: `process` is the OCI process object, `timeout` seconds from its start.

    `seccomp`: the container has a filter. `foreign`: it has a user namespace or a security label of its own.
    """

    id: str
    process: Mapping[str, Any]
    timeout: float
    seccomp: bool
    foreign: bool = False


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a probe ended: its exit code 0..255 (128+n for signal n), when (unix ns), whether it was killed for
    taking long, and the beginning of its output.
    """

    code: int
    at: int
    late: bool
    output: bytes


def order(request: ProbeRequest) -> entry.Order | None:
    """The process as the shim itself puts it inside; None where only the runtime makes it just as an exec is.

    A container that may trace would see the shim's memory while its process is on the way in.
    """
    process = request.process
    granted = process.get("capabilities", {})
    masks = {name: _mask(granted.get(name, ())) for name in _SETS}
    traces = masks["bounding"] >> ALL.index("CAP_SYS_PTRACE") & 1
    user = process["user"]
    if (
        request.foreign
        or traces
        or not set(process) <= _PLAIN
        or not set(user) <= {"uid", "gid", "additionalGids"}
    ):
        return None
    if process.get("noNewPrivileges") and request.seccomp:
        return None  # its init gets the filter only after the moment at which it is looked for
    return entry.Order(
        uid=user["uid"],
        gid=user["gid"],
        groups=tuple(user.get("additionalGids", ())),
        capabilities=(
            masks["bounding"],
            masks["effective"],
            masks["permitted"],
            masks["inheritable"],
            masks["ambient"],
        ),
        no_new_privileges=bool(process.get("noNewPrivileges")),
        seccomp=request.seccomp,
        oom_score_adj=process["oomScoreAdj"],
        cwd=process["cwd"],
        rlimits=tuple(
            (_LIMITS.index(limit["type"]), _finite(limit["soft"]), _finite(limit["hard"]))
            for limit in process.get("rlimits", ())
        ),
        args=tuple(process["args"]),
        env=tuple(process["env"]),
    )


def _mask(names: tuple[str, ...]) -> int:
    return sum(1 << ALL.index(name) for name in names)


def _finite(limit: int) -> int:
    """As Python has it: -1 is no limit."""
    return limit if 0 <= limit < _INFINITY else -1


class ProbeFiles:
    """The files by which a shim is told of a probe: written when what they say has changed."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._written: ProbeRequest | None = None
        self.way = "runtime"

    def write(self, request: ProbeRequest) -> None:
        """Have them say what is asked for; `way` is how. Blocks; raises OSError and ValueError."""
        if self._written is not None and self._written.process == request.process:
            return
        found = order(request)
        self.way = "runtime" if found is None else "inside"
        self._replace("probe.json", json.dumps(request.process).encode())
        if found is not None:
            self._replace("probe", found.encode())
        self._written = request

    def _replace(self, name: str, data: bytes) -> None:
        """Its environment may hold secrets: it is for root alone."""
        temporary = self._state_dir / f".{name}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        temporary.rename(self._state_dir / name)
