"""`RUN --mount=…`, in the words and with the defaults of BuildKit."""

from collections.abc import Callable

import msgspec

import errdefs
from engine.build.dockerfile import commas
from engine.build.dockerfile.text import did_you_mean, quoted
from engine.build.dockerfile.values import Expander, Mount
from engine.config.values import parse_bool, parse_size

_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_NAMES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_WITHOUT_VALUE = frozenset({"readonly", "readwrite", "required"})
_MAX_ID = 2**32 - 1


def parse_mount(text: str, expand: Expander) -> Mount:
    """The mount of a flag, with its variables replaced. InvalidArgument for what BuildKit refuses."""
    said: set[str] = set()
    mount = Mount()
    for field in _fields(text):
        written, equals, value = field.partition("=")
        key = written.lower()
        name = _NAMES.get(key, key)
        if not equals:
            if name not in _WITHOUT_VALUE:
                raise errdefs.InvalidArgument(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        else:
            value = expand(value)
        if name not in _READERS:
            message = f"unexpected key '{key}' in '{field}'"
            raise errdefs.InvalidArgument(did_you_mean(message, key, [*_READERS, *_NAMES]))
        mount = _READERS[name](mount, key, value)
        said.add(name)
    if not said & {"readonly", "readwrite"}:
        mount = msgspec.structs.replace(mount, read_only=mount.kind not in ("cache", "tmpfs"))
    _check(mount)
    return mount


def check_early(text: str) -> None:
    """What can be said before variables are known."""
    for field in _fields(text):
        key, _, value = field.partition("=")
        if key.lower() == "from" and "$" in value[:-1]:
            raise errdefs.InvalidArgument(
                "'from' doesn't support variable expansion, define alias stage instead"
            )


def _fields(text: str) -> list[str]:
    try:
        return commas.fields(text)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"failed to parse csv mounts: {error.message}") from None


def _kind(mount: Mount, _: str, value: str) -> Mount:
    if value.lower() not in _KINDS:
        message = f"unsupported mount type {quoted(value.lower())}"
        raise errdefs.InvalidArgument(did_you_mean(message, value, _KINDS))
    return msgspec.structs.replace(mount, kind=value.lower())


def _sharing(mount: Mount, _: str, value: str) -> Mount:
    if value.lower() not in _SHARING:
        message = f"unsupported sharing value {quoted(value.lower())}"
        raise errdefs.InvalidArgument(did_you_mean(message, value, _SHARING))
    return msgspec.structs.replace(mount, sharing=value.lower())


def _truth(key: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError:
        raise errdefs.InvalidArgument(f"invalid value for {key}: {value}") from None


def _read_only(mount: Mount, key: str, value: str) -> Mount:
    return msgspec.structs.replace(mount, read_only=_truth(key, value))


def _read_write(mount: Mount, key: str, value: str) -> Mount:
    return msgspec.structs.replace(mount, read_only=not _truth(key, value))


def _required(mount: Mount, key: str, value: str) -> Mount:
    _only_for(mount, key, "secret", "ssh")
    return msgspec.structs.replace(mount, required=_truth(key, value))


def _size(mount: Mount, key: str, value: str) -> Mount:
    _only_for(mount, key, "tmpfs")
    try:
        return msgspec.structs.replace(mount, size=parse_size(value))
    except ValueError:
        raise errdefs.InvalidArgument(f"invalid value for {key}: {value}") from None


def _only_for(mount: Mount, key: str, *kinds: str) -> None:
    if mount.kind not in kinds:
        raise errdefs.InvalidArgument(f"unexpected key '{key}' for mount type '{mount.kind}'")


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if value and not value.strip(digits) and len(value) < 20 and int(value, base) <= _MAX_ID:
        return int(value, base)
    raise errdefs.InvalidArgument(f"invalid value {value} for {key}")


_READERS: dict[str, Callable[[Mount, str, str], Mount]] = {
    "type": _kind,
    "from": lambda mount, _, value: msgspec.structs.replace(mount, origin=value),
    "source": lambda mount, _, value: msgspec.structs.replace(mount, source=value),
    "target": lambda mount, _, value: msgspec.structs.replace(mount, target=value),
    "readonly": _read_only,
    "readwrite": _read_write,
    "required": _required,
    "size": _size,
    "id": lambda mount, _, value: msgspec.structs.replace(mount, id=value),
    "sharing": _sharing,
    "mode": lambda mount, key, value: msgspec.structs.replace(mount, mode=_number(key, value, 8)),
    "uid": lambda mount, key, value: msgspec.structs.replace(mount, uid=_number(key, value, 10)),
    "gid": lambda mount, key, value: msgspec.structs.replace(mount, gid=_number(key, value, 10)),
    "env": lambda mount, _, value: msgspec.structs.replace(mount, env=value),
}


def _check(mount: Mount) -> None:
    if mount.kind not in ("secret", "ssh", "cache"):
        for name, value in (("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)):
            if value is not None:
                raise errdefs.InvalidArgument(f"{name} not allowed for {quoted(mount.kind)} type mounts")
    if mount.kind == "secret":
        _check_secret(mount)
    if mount.sharing and mount.kind != "cache":
        raise errdefs.InvalidArgument(f"invalid cache sharing set for {mount.kind} mount")


def _check_secret(mount: Mount) -> None:
    if mount.origin:
        raise errdefs.InvalidArgument("secret mount should not have a from")
    if mount.sharing:
        raise errdefs.InvalidArgument("secret mount should not define sharing")
    if not (mount.source or mount.target or mount.id):
        raise errdefs.InvalidArgument("invalid secret mount. one of source, target required")
    if mount.source and mount.id:
        raise errdefs.InvalidArgument("both source and id can't be set")
