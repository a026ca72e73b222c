"""Trees of files as lines."""

import os
import stat
from pathlib import Path

from runtime import tree

OLD = 1_000_000_000
"""When the files of the context were changed, in Unix seconds."""


def listed(root: Path) -> list[str]:
    """All below a root, a line each: kind, mode, owner, time if it is the old one, name, content or target."""
    lines = []
    path: list[str] = []
    for step in tree.walk(root):
        if step.move is tree.Move.LEAVE:
            path.pop()
            continue
        found = step.stat
        name = "/".join([*path, step.name])
        if step.move is tree.Move.ENTER:
            path.append(step.name)
        end = ""
        if stat.S_ISREG(found.st_mode):
            end = f" {(root / name).read_text()!r}"
        elif stat.S_ISLNK(found.st_mode):
            end = f" -> {os.readlink(root / name)}"
        time = "old" if found.st_mtime_ns == OLD * 10**9 else "new"
        lines.append(f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid} {time} {name}{end}")
    return lines
