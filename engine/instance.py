"""The data root's marker: whose state this is, and that one daemon has it.

Everything that a daemon leaves in the kernel carries the instance's id; a sweep deletes nothing else. A
directory that is not ours (`data-root` may point at Docker's) is never touched.
"""

import fcntl
import os
import secrets
from pathlib import Path

import msgspec

import errdefs

MARKER = "instance.json"
SCHEMA = 1

_MAX_MARKER = 4096
_OVERLAYFS = "overlay"


class Marker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the marker says; `schema` is the layout of the data root."""

    schema: int
    instance: str


class Instance:
    """A data root that this process holds until `close`. `id` is 8 hex digits, the same for the root's whole life."""

    def __init__(self, root: Path, identifier: str, descriptor: int) -> None:
        self.root = root
        self.id = identifier
        self._descriptor = descriptor

    @classmethod
    def claim(cls, root: Path, *, group: int = -1) -> "Instance":
        """Take the data root, making it (mode 0710) and its marker if it is new. Blocks; not on the loop.

        `group` may look up files in it (-1: nobody). InvalidArgument for a root that is not ours, on
        overlayfs, or of a newer layout; Conflict for one that another daemon has. Nothing is changed
        then.
        """
        descriptor = _open(root)
        try:
            _lock(root, descriptor)
            _require_filesystem(root, descriptor)
            marker = _read(root, descriptor) or _make(root, descriptor)
            os.fchmod(descriptor, 0o710)
            os.fchown(descriptor, -1, group)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(root, marker.instance, descriptor)

    def close(self) -> None:
        """Let another daemon have the root. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def directory(path: Path, mode: int = 0o700) -> Path:
    """A directory with exactly this mode, made if it is not there."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        path.chmod(mode)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot make {path}: {error.strerror}") from error
    return path


def filesystem_of(descriptor: int) -> str:
    """The type of the filesystem that an open file is on, as mountinfo calls it ("ext4"); "" if unknown."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as facts:
        mount = next((line.split()[1] for line in facts if line.startswith("mnt_id:")), "")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            if line.split(" ", 1)[0] == mount:
                return line.partition(" - ")[2].split(" ", 1)[0]
    return ""


def _open(root: Path) -> int:
    if not root.is_absolute():
        raise errdefs.InvalidArgument(f"the data root {root} must be an absolute path")
    try:
        root.mkdir(mode=0o710, parents=True, exist_ok=True)
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise errdefs.InvalidArgument(f"cannot use the data root {root}: {error.strerror}") from error


def _lock(root: Path, descriptor: int) -> None:
    """The lock is on the directory itself and ends with the process, however that ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise errdefs.Conflict(
            f"the data root {root} is in use by another wherryd: stop it, or give this one its own --data-root,"
            " --exec-root, --pidfile, --host and --bridge"
        ) from None


def _require_filesystem(root: Path, descriptor: int) -> None:
    if filesystem_of(descriptor) == _OVERLAYFS:
        raise errdefs.InvalidArgument(
            f"the data root {root} is on overlayfs, on which no container's root can be mounted: give a --data-root on"
            " another filesystem (ext4, xfs, btrfs, tmpfs), in a container by a volume mounted there"
        )


def _read(root: Path, descriptor: int) -> Marker | None:
    """The marker; None for a root that is empty."""
    try:
        file = os.open(MARKER, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    except FileNotFoundError:
        _require_empty(root, descriptor)
        return None
    except OSError as error:
        raise errdefs.InvalidArgument(f"cannot read {root / MARKER}: {error.strerror}") from error
    with os.fdopen(file, "rb") as opened:
        content = opened.read(_MAX_MARKER)
    try:
        schema = msgspec.json.decode(content, type=dict[str, object]).get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise errdefs.InvalidArgument(
                f"the data root {root} has layout {schema}, written by a newer wherryd; this one knows up to {SCHEMA}."
                " Nothing was changed: start the newer version, or use another --data-root"
            )
        marker = msgspec.json.decode(content, type=Marker)
    except msgspec.DecodeError as error:
        raise errdefs.InvalidArgument(f"{root / MARKER} is damaged: {error}") from error
    if len(marker.instance) != 8 or set(marker.instance) - set("0123456789abcdef"):
        raise errdefs.InvalidArgument(f"{root / MARKER} is damaged: no instance id")
    return marker


def _require_empty(root: Path, descriptor: int) -> None:
    """A new filesystem has a lost+found; a marker that was being written counts for nothing."""
    strangers = sorted(set(os.listdir(descriptor)) - {"lost+found", f"{MARKER}.new"})
    if strangers:
        raise errdefs.InvalidArgument(
            f"the data root {root} is not empty ({strangers[0]!r} …) and has no {MARKER}: it is not wherry's, and was"
            " left as it is. Give an empty directory as --data-root (Docker's own cannot be taken over)"
        )


def _make(root: Path, descriptor: int) -> Marker:
    marker = Marker(schema=SCHEMA, instance=secrets.token_hex(4))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(f"{MARKER}.new", flags, 0o600, dir_fd=descriptor)
        with os.fdopen(file, "wb") as opened:
            opened.write(msgspec.json.encode(marker) + b"\n")
            opened.flush()
            os.fsync(file)
        os.rename(f"{MARKER}.new", MARKER, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        os.fsync(descriptor)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot write {root / MARKER}: {error.strerror}") from error
    return marker
