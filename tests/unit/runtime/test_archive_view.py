"""Where a container's mounts are laid: what the container has changed is told from what the host cannot do."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from errdefs import InvalidArgument, SystemFailure
from runtime.archive import view
from runtime.archive.order import Part

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def removed(directory: Path) -> Iterator[int]:
    """A directory that is open, and not there any more."""
    directory.mkdir()
    fd = os.open(directory, DIRECTORY)
    directory.rmdir()
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """None can be opened."""
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_place_that_was_taken_away(tmp_path: Path) -> None:
    with (
        removed(tmp_path / "gone") as root,
        pytest.raises(InvalidArgument, match="No such file or directory"),
    ):
        view._lay(root, Part("/a/b", ""), root, read_only=False)


def test_a_host_that_cannot(tmp_path: Path) -> None:
    root = os.open(tmp_path, DIRECTORY)
    try:
        with no_more_descriptors(), pytest.raises(SystemFailure, match="Too many open files"):
            view._lay(root, Part("/a/b", ""), root, read_only=False)
    finally:
        os.close(root)
