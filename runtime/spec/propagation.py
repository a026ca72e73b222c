"""Whether the host can give the mount propagation that a bind asks for."""

from errdefs import InvalidArgument

_SHARED: tuple[str, ...] = ("shared:",)
_SHARED_OR_SLAVE: tuple[str, ...] = ("shared:", "master:")


def check(source: str, propagation: str, mountinfo: str) -> None:
    """Raise InvalidArgument with Docker's text when `source`'s mount cannot propagate as asked.

    `source` has its links resolved; `mountinfo` is the text of /proc/self/mountinfo.
    """
    if propagation in ("shared", "rshared"):
        needed, text = _SHARED, "a shared mount"
    elif propagation in ("slave", "rslave"):
        needed, text = _SHARED_OR_SLAVE, "a shared or slave mount"
    else:
        return
    mount_point, tags = _mount_of(source, mountinfo)
    if not any(tag.startswith(needed) for tag in tags):
        raise InvalidArgument(f"path {source} is mounted on {mount_point} but it is not {text}")


def _mount_of(source: str, mountinfo: str) -> tuple[str, list[str]]:
    """Return the longest mount point above `source` and its optional fields; the latest of several wins."""
    best, tags = "", list[str]()
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        point = _unescape(fields[4])
        if _is_above(point, source) and len(point) >= len(best):
            best, tags = point, fields[6 : fields.index("-")]
    if not best:
        raise InvalidArgument(f"Can't find mount point of {source}")
    return best, tags


def _is_above(point: str, path: str) -> bool:
    return point == "/" or path == point or path.startswith(f"{point}/")


def _unescape(field: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field
