"""Bundles of static busybox for tests: the least that runc takes, by Docker's cgroup names."""

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

CAPABILITIES = ["CAP_KILL", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID"]
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
    },
]


def new_id() -> str:
    """Return an id as containers have it."""
    return (uuid.uuid4().hex + uuid.uuid4().hex)[:64]


def make_rootfs(path: Path) -> Path:
    """Make a root filesystem of busybox that all bundles may share."""
    (path / "bin").mkdir(parents=True)
    for name in ("proc", "dev", "tmp", "sys"):
        (path / name).mkdir()
    shutil.copy("/bin/busybox", path / "bin/busybox")
    for applet in (
        "sh",
        "cat",
        "echo",
        "sleep",
        "true",
        "head",
        "wc",
        "seq",
        "stty",
        "dd",
        "yes",
        "ls",
        "kill",
    ):
        os.link(path / "bin/busybox", path / "bin" / applet)
    (path / "bin/noexec").write_text("#!/bin/sh\n")
    return path


def process(args: list[str], *, terminal: bool = False, **more: Any) -> dict[str, Any]:
    """Return an OCI process object."""
    return {
        "terminal": terminal,
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "oomScoreAdj": 0,
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        **more,
    }


def make_bundle(
    path: Path,
    rootfs: Path,
    container_id: str,
    args: list[str],
    *,
    terminal: bool = False,
    host_pid: bool = False,
    memory: int = 0,
    hooks: dict[str, Any] | None = None,
) -> Path:
    """Write a bundle and return its path; the root filesystem is shared and read-only."""
    path.mkdir(parents=True, exist_ok=True)
    kinds = ["mount", "ipc", "uts", "network", *([] if host_pid else ["pid"])]
    spec = {
        "ociVersion": "1.0.2",
        "process": process(args, terminal=terminal),
        "root": {"path": str(rootfs), "readonly": True},
        "hostname": "test",
        "mounts": MOUNTS,
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "cgroupsPath": f"/docker/{container_id}",
            "resources": {"memory": {"limit": memory, "swap": memory}} if memory else {},
        },
    }
    if hooks is not None:
        spec["hooks"] = hooks
    (path / "config.json").write_text(json.dumps(spec))
    return path
