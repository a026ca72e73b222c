"""A container's network stack: a network namespace that is held as a file descriptor, made by us or by runc.

Nothing is mounted, so nothing is left after a kill: the namespace lives as long as the fd or a process in it does.
`key` is a link to it below the exec root, for `nsenter` and the like; it follows the container's process once known.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from network import changes, netlink, netns
from network.endpoint import new_id

LOOPBACK = 1


class Sandbox(msgspec.Struct):
    """`fd` is -1 for the host's own stack and after close(). `path` is what the OCI spec gets as namespace path."""

    id: str
    container_id: str
    fd: int
    path: str
    key: Path
    pid: int | None = None
    host: bool = False

    def follow(self, pid: int) -> None:
        """Let `key` lead to the container's process, so that it is of use while no daemon runs."""
        self.pid = pid
        self.path = f"/proc/{pid}/ns/net"
        if not self.host:
            _link(self.key, self.path)

    def release_fd(self) -> None:
        """Let go of the namespace and leave the link; for a daemon that ends. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Let go of the namespace: the kernel ends it with its last process. Idempotent."""
        self.release_fd()
        if not self.host:
            with contextlib.suppress(FileNotFoundError):
                self.key.unlink()


def make(container_id: str, links: Path) -> Sandbox:
    """A new namespace with its loopback up; links in folder `links`. Blocks."""
    return _linked(container_id, netns.create(_loopback_up), links, None, None)


def of_process(container_id: str, pid: int, links: Path, *, sandbox_id: str | None = None) -> Sandbox:
    """The namespace of a process: one that runc made, or that of a running container after a restart. Blocks.

    Raises FileNotFoundError or ProcessLookupError when the process is gone.
    """
    fd = netns.open_of(pid)
    try:
        if sandbox_id is None:
            netns.inside(fd, _loopback_up)
        return _linked(container_id, fd, links, pid, sandbox_id)
    except BaseException:
        os.close(fd)
        raise


def of_host(container_id: str, links: Path) -> Sandbox:
    """The host's own stack: nothing is made, nothing is held."""
    return Sandbox(id=new_id(), container_id=container_id, fd=-1, path="", key=links / "default", host=True)


def _linked(container_id: str, fd: int, links: Path, pid: int | None, sandbox_id: str | None) -> Sandbox:
    identity = sandbox_id or new_id()
    path = f"/proc/{os.getpid()}/fd/{fd}" if pid is None else f"/proc/{pid}/ns/net"
    key = links / identity[:12]
    links.mkdir(parents=True, exist_ok=True)
    _link(key, path)
    return Sandbox(id=identity, container_id=container_id, fd=fd, path=path, key=key, pid=pid)


def _link(key: Path, path: str) -> None:
    key.unlink(missing_ok=True)
    key.symlink_to(path)


def _loopback_up() -> None:
    with netlink.Rtnetlink() as socket:
        socket.batch([(netlink.RTM_SETLINK, 0, changes.up(LOOPBACK))])
