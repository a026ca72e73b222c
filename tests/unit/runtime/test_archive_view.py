"""Where a container's mounts are laid: what the container has changed is told from what the host cannot do."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from errdefs import InvalidArgument, SystemFailure, Unavailable
from runtime import mount
from runtime.archive import trees, view
from runtime.archive.order import Part

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
SMALL = mount.Mount(type="tmpfs", source="tmpfs", options=("size=64k",))


@pytest.fixture
def rootfs(tmp_path: Path) -> Iterator[Path]:
    """A root as a run has it mounted."""
    directory = tmp_path / "rootfs"
    directory.mkdir()
    mount.attach([SMALL], directory)
    yield directory
    mount.unmount_all(directory)


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


@pytest.mark.root
def test_a_root_that_is_there(rootfs: Path) -> None:
    (rootfs / "file").touch()
    with ExitStack() as fds:
        assert os.listdir(f"/proc/self/fd/{view._root_of_run(fds, str(rootfs))}") == ["file"]


@pytest.mark.root
@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_that_has_ended(rootfs: Path, steps: int) -> None:
    """Its root is unmounted first, and its directory is removed then."""
    for step in (mount.unmount_all, os.rmdir)[:steps]:
        step(rootfs)
    with ExitStack() as fds, pytest.raises(Unavailable):
        view._root_of_run(fds, str(rootfs))


@pytest.mark.root
def test_a_run_that_ends_this_moment(rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "is_mounted", unmounting(trees.is_mounted, rootfs))
    with ExitStack() as fds, pytest.raises(Unavailable):
        view._root_of_run(fds, str(rootfs))


@pytest.mark.root
def test_a_mount_that_goes_this_moment(rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the container has unmounted is left out."""
    monkeypatch.setattr(trees, "is_mounted", unmounting(trees.is_mounted, rootfs))
    monkeypatch.setattr(trees, "join", lambda _: None)
    with ExitStack() as fds:
        assert view._of_container(fds, [Part(str(rootfs), "")], -1) == []


def unmounting(is_mounted: Callable[[int], bool], directory: Path) -> Callable[[int], bool]:
    """A look that is out of date as soon as it is done."""

    def look(fd: int) -> bool:
        found = is_mounted(fd)
        mount.unmount_all(directory)
        return found

    return look
