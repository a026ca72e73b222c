"""Layers of snapshotters, of a few files."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from runtime.snapshots.snapshotter import Snapshotter

Open = Callable[[], Awaitable[Snapshotter]]


async def layer(snapshots: Snapshotter, name: str, parent: str | None, files: dict[str, str]) -> None:
    """Make a layer."""
    key = f"unpack-{name}"
    await snapshots.prepare(key, parent)
    for path, text in files.items():
        file = snapshots.upper(key) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    await snapshots.commit(name, key)


def read(root: Path) -> dict[str, str]:
    """All files below a directory."""
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
