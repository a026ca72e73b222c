"""One build that both daemons are asked for: a context, a Dockerfile, and options of `docker build`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

CLASSIC, BUILDKIT = "classic", "buildkit"
OLD = 1_000_000_000  # seconds since 1970, the time of every file of a context


@dataclass(frozen=True, slots=True)
class File:
    """A file of a context that is not just 0644 of root."""

    content: bytes | str = ""
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of a context that is not just 0755, or is empty."""

    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a context: symbolic, or `hard` to another file of it."""

    target: str
    hard: bool = False


Entry: TypeAlias = str | bytes | File | Directory | Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`builders` are those that can do it. `options` may have {context}, where the context is."""

    name: str
    dockerfile: str
    files: Mapping[str, Entry] = field(default_factory=dict)
    options: Sequence[str] = ()
    builders: Sequence[str] = (CLASSIC, BUILDKIT)
    secret: Mapping[str, str] = field(default_factory=dict)
    """Files beside the context, at {secrets}/name in `options`."""

    def write(self, root: Path) -> Path:
        """Make the context in an empty directory; where it is."""
        for name, text in self.secret.items():
            (root / name).write_text(text)
        context = root / "context"
        context.mkdir()
        entries = {"Dockerfile": self.dockerfile, **self.files}
        for name, entry in entries.items():
            _write(context, name, entry)
        for directory, names, others in os.walk(context, topdown=False):
            for name in [*names, *others]:
                os.utime(Path(directory, name), (OLD, OLD), follow_symlinks=False)
        os.utime(context, (OLD, OLD))
        return context

    def arguments(self, root: Path) -> list[str]:
        """The options, places in them filled in."""
        return [option.format(context=root / "context", secrets=root) for option in self.options]


def _write(context: Path, name: str, entry: Entry) -> None:
    path = context / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(entry, Directory):
        path.mkdir(exist_ok=True)
        path.chmod(entry.mode)
    elif isinstance(entry, Link) and entry.hard:
        path.hardlink_to(context / entry.target)
    elif isinstance(entry, Link):
        path.symlink_to(entry.target)
    else:
        file = entry if isinstance(entry, File) else File(entry)
        path.write_bytes(file.content if isinstance(file.content, bytes) else file.content.encode())
        os.chown(path, *file.owner)
        path.chmod(file.mode)
        for key, value in file.xattrs.items():
            os.setxattr(path, key, value)
