"""CPU time for real-time threads, cgroup v1: a group can only give what the groups above it have. Blocks."""

import os
import posixpath
from collections.abc import Iterator

from errdefs import SystemFailure
from runtime.cgroups.hierarchy import mount_points


def share_realtime(parent: str, period: int, runtime: int) -> None:
    """Let the groups of `parent` ("/docker") and below have `runtime` of each `period` (microseconds; 0: as it is).

    SystemFailure with the kernel's reason: the groups above do not have as much.
    """
    mount = mount_points().get("cpu")
    if mount is None:
        raise SystemFailure("unable to init CPU RT controller: the cpu controller is not mounted")
    for group in _ways_down(parent):
        folder = mount.directory(group)
        if folder is None:
            continue
        try:
            os.makedirs(folder, exist_ok=True)
            for name, value in (("cpu.rt_period_us", period), ("cpu.rt_runtime_us", runtime)):
                if value:
                    (folder / name).write_text(str(value))
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise SystemFailure(f"unable to init CPU RT controller: {folder}: {reason}") from error


def _ways_down(parent: str) -> Iterator[str]:
    """ "/a/b" gives "/a" and "/a/b"."""
    at = "/"
    for name in filter(None, posixpath.normpath(parent).split("/")):
        at = posixpath.join(at, name)
        yield at
