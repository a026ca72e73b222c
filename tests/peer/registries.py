"""A registry at one address for both daemons."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peer.peer import Peer
from tests.registries import DebianRegistry


@contextmanager
def twice(root: Path, peer: Peer, *, apart: bool = False, **options: Any) -> Iterator[DebianRegistry]:
    """Two processes on the same files; with `apart` each has its own, as both are pushed to."""
    ours = DebianRegistry(root / "ours" if apart else root, **options)
    theirs = DebianRegistry(root / "theirs" if apart else root, port=ours.port, namespace=peer.pid, **options)
    try:
        ours.start()
        theirs.start()
        yield ours
    finally:
        theirs.stop()
        ours.stop()
