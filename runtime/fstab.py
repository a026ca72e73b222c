"""mount(2) by words of fstab: flags are told from options of the file system by their names, as in mount(8).

Run as a program it mounts what stdin says in JSON, for file systems whose mount may hang: a process can be killed.
This module needs the standard library alone.
"""

import ctypes
import json
import os
import sys

_RDONLY, _REMOUNT, _BIND, _REC, _SILENT = 1, 32, 4096, 16384, 32768
_PRIVATE, _SLAVE, _SHARED, _UNBINDABLE = 1 << 18, 1 << 19, 1 << 20, 1 << 17
_PROPAGATION = _PRIVATE | _SLAVE | _SHARED | _UNBINDABLE
_SET = {
    "defaults": 0, "ro": _RDONLY, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "dirsync": 128,
    "remount": _REMOUNT, "mand": 64, "noatime": 1024, "nodiratime": 2048, "bind": _BIND, "rbind": _BIND | _REC,
    "unbindable": _UNBINDABLE, "runbindable": _UNBINDABLE | _REC, "private": _PRIVATE,
    "rprivate": _PRIVATE | _REC, "slave": _SLAVE, "rslave": _SLAVE | _REC, "shared": _SHARED,
    "rshared": _SHARED | _REC, "relatime": 1 << 21, "strictatime": 1 << 24,
}  # fmt: skip
_CLEAR = {
    "rw": _RDONLY, "suid": 2, "dev": 4, "exec": 8, "async": 16, "nomand": 64, "atime": 1024, "diratime": 2048,
    "norelatime": 1 << 21, "nostrictatime": 1 << 24,
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


class MountFailed(Exception):  # noqa: N818 - as those of errdefs
    """Its text tells what was to be mounted, and why it was not, in the words of Docker."""


def parse(options: str) -> tuple[int, str]:
    """The flags, and what is left for the file system."""
    flags, data = 0, []
    for word in options.split(",") if options else ():
        if word in _SET:
            flags |= _SET[word]
        elif word in _CLEAR:
            flags &= ~_CLEAR[word]
        else:
            data.append(word)
    return flags, ",".join(data)


def mount(device: str, target: str, kind: str, options: str) -> None:
    """Mount; MountFailed. Blocks, for a file system of the network as long as its server likes."""
    flags, data = parse(options)
    plain = flags & ~_PROPAGATION
    _mount("mount", device, target, kind, plain, data)
    if flags & _PROPAGATION:
        _mount("remount", "", target, "", flags & (_PROPAGATION | _REC | _SILENT), "")
    if plain & _BIND and plain & _RDONLY:
        _mount("remount-ro", "", target, "", plain | _REMOUNT, "")


def _mount(verb: str, device: str, target: str, kind: str, flags: int, data: str) -> None:
    words = [os.fsencode(each) for each in (device, target, kind, data)]
    if _libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3] or None) == 0:
        return
    reason = os.strerror(ctypes.get_errno()).lower()
    told = f"{verb} {device}:{target}" if device else f"{verb} {target}"
    told += f", flags: {flags:#x}" if flags else ""
    told += f", data: {data}" if data else ""
    raise MountFailed(f"{told}: {reason}")


def main() -> int:
    """Mount what stdin says; a failure is told on stdout."""
    try:
        mount(*json.load(sys.stdin))
    except MountFailed as failed:
        print(failed)  # noqa: T201 - who started us reads it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
