"""A container's files as our root: its own root, and what it mounts on that, and nothing of the host beside it.

The container may change all of its files meanwhile. It cannot lead us out: whatever we resolve we resolve from its
root, by descriptors, and once we are inside there is nothing else.
"""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from errdefs import InvalidArgument, SystemFailure, Unavailable
from runtime import mount
from runtime.archive import resource, trees
from runtime.archive.order import Part, View
from runtime.paths import make_mountpoint, open_in_root

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_UNMOUNTED = errno.EINVAL  # what open_tree(2) says of a mount that has gone since it was found
Found = list[tuple[Part, int]]


def enter(view: View, namespace: int | None) -> None:
    """Go in, never to come back. `namespace`: the running container's mounts, which is closed. Raises OSError and
    WherryError; Unavailable if the container has ended."""
    with ExitStack() as fds:
        if namespace is not None:
            _keep(fds, namespace)
        trees.leave_namespace()
        if view.rootfs:
            at, root = _open(fds, view.at), _root_of_run(fds, view.rootfs)
            trees.attach(root, at)
        else:
            mount.attach(view.mounts, Path(view.at))
            root = _open(fds, view.at)
            trees.harden(root)
        found = _of_host(fds, view.parts) if namespace is None else _of_container(fds, view.parts, namespace)
        for part, tree in found:
            _lay(root, part, tree, read_only=part.read_only and namespace is None)
        trees.pivot(root)


def _root_of_run(fds: ExitStack, path: str) -> int:
    """A clone of the root that a run has mounted, which goes at any moment, and its directory then."""
    try:
        mounted = _open(fds, path)
        if trees.is_mounted(mounted):
            return _keep(fds, trees.clone(mounted, recursive=False))
    except OSError as error:
        if error.errno not in (errno.ENOENT, _UNMOUNTED):
            raise
    raise Unavailable("the container has ended")


def _of_host(fds: ExitStack, parts: Iterable[Part]) -> Found:
    """Clones of what the host has for each part."""
    found = []
    for part in parts:
        try:
            source = _keep(fds, os.open(part.source, os.O_PATH | os.O_CLOEXEC))
        except FileNotFoundError:
            continue  # it is made when the container starts
        found.append((part, _keep(fds, trees.clone(source, recursive=part.recursive))))
    return found


def _of_container(fds: ExitStack, parts: Iterable[Part], namespace: int) -> Found:
    """Clones of what the container has mounted for each part; what it has unmounted or hidden is left out."""
    home = _keep(fds, os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
    trees.join(namespace)
    try:
        root = _open(fds, "/")
        found = []
        for part in parts:
            try:
                mounted = _keep(fds, open_in_root(root, part.destination, os.O_PATH))
            except OSError:
                continue
            if not trees.is_mounted(mounted):
                continue
            try:
                found.append((part, _keep(fds, trees.clone(mounted))))
            except OSError as error:
                if error.errno != _UNMOUNTED:
                    raise
        return found
    finally:
        trees.join(home)


def _lay(root: int, part: Part, tree: int, *, read_only: bool) -> None:
    """Put a tree where its part belongs, wherever links of the container's lead there."""
    try:
        target = _place(root, part.destination, tree)
        try:
            trees.attach(tree, target, read_only=read_only)
        finally:
            os.close(target)
    except OSError as error:
        raise _refused(error, f"cannot mount {part.destination}: {error.strerror}") from error
    except SystemFailure as error:
        # It could not be made, for which there are more reasons. chmod(2) says ENOTSUP where it is a link now.
        raise _refused(error.__cause__, error.message, *resource.DENIED, errno.ENOTSUP) from error


def _place(root: int, destination: str, tree: int) -> int:
    """What is there in the root; made, if nothing is, to be of the tree's kind."""
    try:
        return open_in_root(root, destination, os.O_PATH)
    except FileNotFoundError:
        make_mountpoint(root, destination, stat.S_ISDIR(os.fstat(tree).st_mode))
        return open_in_root(root, destination, os.O_PATH)


def _refused(error: BaseException | None, message: str, *more: int) -> InvalidArgument | SystemFailure:
    """What the container has caused is no fault of the host's; `more` errors are of its doing, too."""
    changed = isinstance(error, OSError) and error.errno in (
        *resource.CHANGED,
        errno.EAGAIN,  # see openat2(2)
        *more,
    )
    return InvalidArgument(message) if changed else SystemFailure(message)


def _open(fds: ExitStack, path: str) -> int:
    return _keep(fds, os.open(path, _DIRECTORY))


def _keep(fds: ExitStack, fd: int) -> int:
    fds.callback(os.close, fd)
    return fd
