"""User namespaces of the kernel without a process in them: a mount is shifted by one (runtime.idmapped)."""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from errdefs import SystemFailure
from runtime.spawn import birth
from runtime.spec.identity import Identity, IdRange

ROOT_ON_DISK = (1 << 32) - 2
"""Who files on the disk belong to that the host's root makes in a shifted mount, and gives to nobody."""

# It says that it is in its namespace, and stays until it is let go.
_CHILD = (
    "import ctypes, os, sys\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "sys.exit(os.strerror(ctypes.get_errno())) if libc.unshare(0x10000000) else os.write(1, b'.')\n"
    "os.read(0, 1)\n"
)


class UserNamespaces:
    """Those that are in use, by identity; each is one descriptor, made once."""

    def __init__(self) -> None:
        self._found: dict[Identity, int] = {}
        self._lock = threading.Lock()

    def of(self, identity: Identity) -> int:
        """The namespace that shifts ids on the disk, which are the container's, to the host's. Blocks when it is new.

        The host's root is in it as well, as ROOT_ON_DISK: what copies files makes them as root before it gives them
        away. SystemFailure where the host has no user namespaces, or not these ids.
        """
        with self._lock:
            if identity not in self._found:
                self._found[identity] = _make(identity)
            return self._found[identity]


def _make(identity: Identity) -> int:
    wake_read, wake = os.pipe2(os.O_CLOEXEC)
    said, say = os.pipe2(os.O_CLOEXEC)
    try:
        pid = birth([sys.executable, "-ISc", _CHILD], stdio=(wake_read, say, say))
    finally:
        os.close(wake_read)
        os.close(say)
    try:
        answer = os.read(said, 256)
        if answer != b".":
            raise SystemFailure(f"cannot make a user namespace: {answer.decode().strip()}")
        _write(pid, "uid_map", identity.uids)
        _write(pid, "gid_map", identity.gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SystemFailure(f"cannot map ids of a user namespace: {error.strerror}") from error
    finally:
        os.close(wake)
        os.close(said)
        os.waitpid(pid, 0)


def _write(pid: int, name: str, ranges: Sequence[IdRange]) -> None:
    lines = [*ranges, IdRange(ROOT_ON_DISK, 0, 1)]
    text = "".join(f"{each.inside} {each.outside} {each.size}\n" for each in lines)
    Path(f"/proc/{pid}/{name}").write_text(text)
