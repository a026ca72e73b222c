"""The interpreter as what goes into containers executes it: by a mount that is read-only and that is nowhere.

A probe's program may turn out to be the interpreter of the host: `#!/proc/self/exe`. By its /proc/<pid>/exe a
container's root could give the host's file other modes and owners, and write to it once nobody executes it. In a
read-only mount that is refused; no path leads to this one, and it goes with the last process that executes the file.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from runtime import mount_calls


@contextmanager
def read_only(environment: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The path by which children that are born meanwhile execute it, and their environment. Blocks.

    It is executed by its common path where the kernel or a lack of privilege forbids the mount (Linux 5.12).
    """
    path = os.path.realpath(sys.executable)
    try:
        fd, whole = _open(path)
    except OSError:
        yield path, environment
        return
    if not whole:  # libraries beside it are looked for from its place in the mount
        libraries = os.path.normpath(f"{os.path.dirname(path)}/../lib")
        environment = {**environment, "LD_LIBRARY_PATH": libraries}
    try:
        yield (
            f"/proc/{os.getpid()}/fd/{fd}",
            environment,
        )  # not its own: it may have another under that number
    finally:
        os.close(fd)


def _open(path: str) -> tuple[int, bool]:
    """The file in a clone of the root's mount, where its path is the same; or in one of its own, and False."""
    host = os.stat(path)
    fd = _within("/", path.lstrip("/"))
    found = os.stat(fd) if fd >= 0 else None
    if found is not None and os.path.samestat(found, host):
        return fd, True
    if fd >= 0:
        os.close(fd)
    return _clone(path), False


def _within(root: str, path: str) -> int:
    """A descriptor of a file below a clone of a mount, -1 if it is not there."""
    tree = _clone(root)
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=tree)
    except FileNotFoundError:
        return -1
    finally:
        os.close(tree)


def _clone(path: str) -> int:
    tree = mount_calls.clone(mount_calls.HERE, path)
    try:
        mount_calls.change(tree, mount_calls.READ_ONLY, propagation=mount_calls.PRIVATE)
    except OSError:
        os.close(tree)
        raise
    return tree
