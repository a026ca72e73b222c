"""Mounts: what to mount as a value, mount(2), umount2(2) and the new mount API by ctypes, and mountinfo.

All of it blocks: never call it on the event loop. Every failure is a SystemFailure that names the mount.
"""

import ctypes
import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from errdefs import SystemFailure
from runtime import mount_calls

# linux/mount.h
_MS_REMOUNT, _MS_BIND, _MS_REC = 32, 4096, 16384
_FLAGS = {
    "ro": 1,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "noatime": 1024,
    "nodiratime": 2048,
    "bind": _MS_BIND,
    "rbind": _MS_BIND | _MS_REC,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
}
_PROPAGATION = {
    "private": 1 << 18,
    "rprivate": 1 << 18 | _MS_REC,
    "slave": 1 << 19,
    "rslave": 1 << 19 | _MS_REC,
    "shared": 1 << 20,
    "rshared": 1 << 20 | _MS_REC,
    "unbindable": 1 << 17,
    "runbindable": 1 << 17 | _MS_REC,
}
_ATTRIBUTES = 1 | 2 | 4 | 8  # ro, nosuid, nodev, noexec have the same values as MOUNT_ATTR_*
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
# One number on every architecture that runc knows.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_MAX_STRING = 255  # fsconfig(2) takes no longer value

_libc = ctypes.CDLL(None, use_errno=True)


class Mount(NamedTuple):
    """One mount: `type` and `source` as for mount(8), `options` as in fstab.

    Flags and propagation ("ro", "rbind", "rslave", …) are told from filesystem options by their names. Of
    an overlay each lower layer is an option of its own, the uppermost first: "lowerdir+=/a",
    "lowerdir+=/b".
    """

    type: str
    source: str
    options: tuple[str, ...] = ()


def attach(mounts: Sequence[Mount], target: Path) -> None:
    """Mount all of `mounts` at `target`, one over the other; what was mounted is undone when one fails."""
    with ExitStack() as undo:
        for mount in mounts:
            _attach(mount, target)
            undo.callback(unmount, target)
        undo.pop_all()


def unmount(target: Path) -> bool:
    """Detach the uppermost mount at `target` with all below it; False when nothing is mounted there.

    Lazily (MNT_DETACH), as Docker does: who still has files open keeps them, and nobody waits for him.
    """
    if _libc.umount2(os.fsencode(target), _MNT_DETACH | _UMOUNT_NOFOLLOW) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOENT):
        return False
    raise SystemFailure(f"cannot unmount {target}: {os.strerror(code)}")


def unmount_all(target: Path) -> None:
    """The same, until nothing is mounted there: a crash between two mounts may have left one over the other."""
    while unmount(target):
        pass


def move(tree: int, target: Path) -> None:
    """Mount what a descriptor of a detached mount (fsmount(2), open_tree(2)) holds. Raises OSError."""
    mount_calls.move(tree, mount_calls.HERE, str(target), 0)


def make_private(target: Path) -> None:
    """Let nothing that is mounted at or below `target` be seen in other namespaces, or come from there. OSError."""
    _mount2("none", target, "", _PROPAGATION["rprivate"], "")


def check_overlay(mount: Mount) -> str | None:
    """Return why the kernel would not mount this overlay, None when it would; nothing is mounted."""
    try:
        os.close(_filesystem(mount))
    except OSError as error:
        return os.strerror(error.errno or 0)
    return None


def _attach(mount: Mount, target: Path) -> None:
    try:
        if mount.type == "overlay":
            _attach_overlay(mount, target)
        else:
            flags, propagation, data = _split(mount.options)
            _mount(mount, target, flags, propagation, data)
    except OSError as error:
        raise SystemFailure(
            f"cannot mount {mount.type} {mount.source} at {target}: {error.strerror}"
        ) from error


def _mount(mount: Mount, target: Path, flags: int, propagation: int, data: list[str]) -> None:
    bind = flags & _MS_BIND
    _mount2(mount.source, target, mount.type, flags & (_MS_BIND | _MS_REC) if bind else flags, ",".join(data))
    if bind and flags & ~(_MS_BIND | _MS_REC):
        # A bind ignores its other flags; only a remount sets them.
        _mount2("none", target, "", flags & ~_MS_REC | _MS_REMOUNT, "")
    if propagation:
        _mount2("none", target, "", propagation, "")


def _mount2(source: str, target: Path, fstype: str, flags: int, data: str) -> None:
    encoded = [os.fsencode(part) for part in (source, str(target), fstype, data)]
    if _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]) != 0:
        _raise()


def _attach_overlay(mount: Mount, target: Path) -> None:
    """By the new API, which takes any number of layers; by mount(2) before Linux 6.8."""
    try:
        flags, propagation, _ = _split(mount.options)
        with _closing(_filesystem(mount)) as context:
            tree = mount_calls.call(_FSMOUNT, context, _CLOEXEC, flags & _ATTRIBUTES)
        with _closing(tree):
            move(tree, target)
        if propagation:
            _mount2("none", target, "", propagation, "")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        attach_overlay_in_one_page(mount, target)


def _filesystem(mount: Mount) -> int:
    """Return a file system context (fsopen(2)) whose superblock exists; the caller closes it."""
    flags, _, options = _split(mount.options)
    with ExitStack() as opened:
        context = mount_calls.call(_FSOPEN, mount.type.encode(), _CLOEXEC)
        undo = opened.enter_context(ExitStack())
        undo.callback(os.close, context)
        mount_calls.call(_FSCONFIG, context, _SET_STRING, b"source", os.fsencode(mount.source), 0)
        if flags & _FLAGS["ro"]:
            mount_calls.call(_FSCONFIG, context, _SET_FLAG, b"ro", None, 0)
        for option in options:
            key, equals, value = option.partition("=")
            if not equals:
                mount_calls.call(_FSCONFIG, context, _SET_FLAG, key.encode(), None, 0)
                continue
            short = value if len(os.fsencode(value)) <= _MAX_STRING else _by_descriptor(opened, value)
            mount_calls.call(_FSCONFIG, context, _SET_STRING, key.encode(), os.fsencode(short), 0)
        mount_calls.call(_FSCONFIG, context, _CREATE, None, None, 0)
        undo.pop_all()
    return context


def attach_overlay_in_one_page(mount: Mount, target: Path) -> None:
    """Mount an overlay by mount(2), whose options must fit one page: layers are named by descriptors.

    150 layers take 2700 bytes so, however long their paths are. Raises OSError.
    """
    flags, propagation, options = _split(mount.options)
    with ExitStack() as opened:
        lower = []
        data = []
        for option in options:
            key, _, value = option.partition("=")
            if key == "lowerdir+":
                lower.append(_by_descriptor(opened, value))
            elif key in ("upperdir", "workdir"):
                data.append(f"{key}={_by_descriptor(opened, value)}")
            else:
                data.append(option)
        _mount(mount, target, flags, propagation, ["lowerdir=" + ":".join(lower), *data])


def _by_descriptor(opened: ExitStack, path: str) -> str:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return f"/proc/self/fd/{fd}"


def _split(options: Sequence[str]) -> tuple[int, int, list[str]]:
    flags = propagation = 0
    data = []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option in _PROPAGATION:
            propagation |= _PROPAGATION[option]
        else:
            data.append(option)
    return flags, propagation, data


def _raise() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


class MountEntry(NamedTuple):
    """One line of mountinfo (proc_pid_mountinfo(5)), octal escapes undone."""

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: str
    propagation: tuple[str, ...]
    type: str
    source: str
    super_options: str


def mountinfo(pid: int | None = None) -> list[MountEntry]:
    """Return the mounts that a process sees, ours by default, in mount order."""
    data = Path(f"/proc/{pid or 'self'}/mountinfo").read_bytes()
    return parse_mountinfo(os.fsdecode(data))


def parse_mountinfo(text: str) -> list[MountEntry]:
    """Parse the text of /proc/<pid>/mountinfo."""
    return [_parse_entry(line) for line in text.split("\n") if line]


def _parse_entry(line: str) -> MountEntry:
    before, _, after = line.partition(" - ")
    number, parent, device, root, target, options, *optional = before.split(" ")
    fstype, source, *super_options = after.split(" ")
    return MountEntry(
        id=int(number),
        parent=int(parent),
        device=device,
        root=_unescape(root),
        target=_unescape(target),
        options=options,
        propagation=tuple(field for field in optional if field),
        type=fstype,
        source=_unescape(source),
        super_options=" ".join(super_options),
    )


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
