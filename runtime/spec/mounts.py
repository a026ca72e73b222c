"""The mounts of a container: Docker's defaults, and the user's laid over them in Docker's order."""

from collections.abc import Iterable, Sequence
from posixpath import normpath
from typing import Any

import msgspec

from errdefs import InvalidArgument
from runtime.spec.host import has_recursive_read_only

Entry = dict[str, Any]
"""One element of the spec's `mounts`: destination, type, source, options."""

_TMPFS_DATA = frozenset({"", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
_PROPAGATION = frozenset(
    {
        "bind",
        "rbind",
        "unbindable",
        "runbindable",
        "private",
        "rprivate",
        "shared",
        "rshared",
        "slave",
        "rslave",
    }
)
# Options that say one thing and its opposite: the later one counts.
_FLAGS = {
    "ro": "ro", "rw": "ro", "suid": "suid", "nosuid": "suid", "dev": "dev", "nodev": "dev",
    "exec": "exec", "noexec": "exec", "sync": "sync", "async": "sync", "dirsync": "dirsync",
    "remount": "remount", "mand": "mand", "nomand": "mand", "atime": "atime", "noatime": "atime",
    "diratime": "diratime", "nodiratime": "diratime", "relatime": "relatime", "norelatime": "relatime",
    "strictatime": "strictatime", "nostrictatime": "strictatime",
    **dict.fromkeys(_PROPAGATION, "propagation"),
}  # fmt: skip
_STAY_WRITABLE = frozenset({"/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"})


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """A path of the host (a volume's directory, a file of the container, a user's bind).

    `propagation`: "" (as the runtime likes), or one of [r]private, [r]shared, [r]slave. `read_only` covers
    mounts below as well ("rro") where `recursive_read_only`: where the kernel can, unless it is said otherwise
    (BindOptions.ReadOnlyNonRecursive, a runtime that cannot).
    """

    source: str
    destination: str
    read_only: bool = False
    recursive: bool = True
    recursive_read_only: bool = msgspec.field(default_factory=has_recursive_read_only)
    propagation: str = "rprivate"


class Tmpfs(msgspec.Struct, frozen=True, kw_only=True):
    """A tmpfs of the container's own; `options` as in --tmpfs: "size=64m,mode=1777,exec"."""

    destination: str
    options: str = ""


Mount = Bind | Tmpfs


def default_mounts(shm_size: int | None) -> list[Entry]:
    """Return the file systems of every container; `shm_size` in bytes, None for no /dev/shm (--ipc none)."""
    mounts = [
        _entry("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _entry("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _entry(
            "/dev/pts", "devpts", "devpts",
            "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5",
        ),
        _entry("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        _entry("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
        _entry("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    ]  # fmt: skip
    if shm_size is not None:
        options = ("nosuid", "noexec", "nodev", "mode=1777", f"size={shm_size}")
        mounts.append(_entry("/dev/shm", "tmpfs", "shm", *options))
    return mounts


def assemble(defaults: Sequence[Entry], mounts: Iterable[Mount]) -> list[Entry]:
    """Return the defaults that no user mount covers, then the user's mounts, parents before children.

    A mount on a default's destination replaces it; one on /dev takes everything below /dev away as well.
    InvalidArgument for a tmpfs option that Docker does not know.
    """
    ordered = sort(mounts)
    covered = {clean(mount.destination) for mount in ordered}
    kept = [entry for entry in defaults if not _is_covered(entry["destination"], covered)]
    return [*kept, *(to_oci(mount) for mount in ordered)]


def sort(mounts: Iterable[Mount]) -> list[Mount]:
    """Return the mounts by depth of their destination, else as given, so that none hides another."""
    return sorted(mounts, key=lambda mount: _depth(clean(mount.destination)))


def to_oci(mount: Mount) -> Entry:
    """Return the spec's entry for one mount."""
    if isinstance(mount, Tmpfs):
        base = ["noexec", "nosuid", "nodev", "rprivate"]
        asked = mount.options.split(",") if mount.options else []
        return _entry(clean(mount.destination), "tmpfs", "tmpfs", *merge_tmpfs_options([*base, *asked]))
    options = ["rbind" if mount.recursive else "bind"]
    if mount.read_only:
        options.append("rro" if mount.recursive_read_only else "ro")
    if mount.propagation:
        options.append(mount.propagation)
    return _entry(clean(mount.destination), "bind", mount.source, *options)


def merge_tmpfs_options(options: Sequence[str]) -> list[str]:
    """Return the options without those that a later one overrules; InvalidArgument for an unknown one."""
    result: list[str] = []
    seen: set[str] = set()
    for option in reversed(options):
        if option == "defaults":
            continue
        key = _FLAGS.get(option) or _data_key(option)
        if key not in seen:
            seen.add(key)
            result.insert(0, option)
    return result


def rootfs_propagation(mounts: Iterable[Mount]) -> str:
    """Return what the container's root must be for its mounts' propagation to work, "" for the default."""
    asked = {mount.propagation for mount in mounts if isinstance(mount, Bind)}
    if asked & {"shared", "rshared"}:
        return "shared"
    return "rslave" if asked & {"slave", "rslave"} else ""


def make_read_only(entries: Iterable[Entry], keep: Iterable[str]) -> list[Entry]:
    """Return the mounts for a read-only root: "ro" on all but /proc, /dev with its children, and `keep`."""
    kept = _STAY_WRITABLE | {clean(path) for path in keep}
    return [
        entry
        if entry["destination"] in kept or "ro" in entry["options"]
        else {**entry, "options": [*entry["options"], "ro"]}
        for entry in entries
    ]


def make_writable(entries: Iterable[Entry], *, sys: bool, cgroup: bool) -> list[Entry]:
    """Return the mounts with "ro" taken off /sys and the cgroup file system, as asked."""
    return [
        {**entry, "options": [option for option in entry["options"] if option != "ro"]}
        if (sys and entry["destination"] == "/sys") or (cgroup and entry["type"] == "cgroup")
        else entry
        for entry in entries
    ]


def clean(path: str) -> str:
    """Return an absolute path without doubled slashes, "." and ".."; what would lead above the root stays in."""
    return normpath("/" + path.lstrip("/"))


def _depth(path: str) -> int:
    return 0 if path == "/" else path.count("/")


def _entry(destination: str, kind: str, source: str, *options: str) -> Entry:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _is_covered(destination: str, covered: set[str]) -> bool:
    return destination in covered or ("/dev" in covered and destination.startswith("/dev/"))


def _data_key(option: str) -> str:
    name, assigned, _ = option.partition("=")
    if not assigned or name not in _TMPFS_DATA:
        raise InvalidArgument(f'invalid tmpfs option "{name}"')
    return f"{name}="
