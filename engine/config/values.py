"""Values of settings: from the text of flags and from the JSON of the file, to the same thing."""

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

import errdefs
from engine.config import builder, image_gc, networking
from engine.config.settings import Kind, Setting
from engine.containers.config import Ulimit

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtpKMGTP]?)[iI]?[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_ULIMITS = frozenset(
    {
        *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
        *("rss", "rtprio", "rttime", "sigpending", "stack"),
    }
)
_RESERVED_RUNTIME = "runc"

EMPTY: dict[Kind, Any] = {
    Kind.BOOL: False,
    Kind.TEXT: "",
    Kind.NUMBER: 0,
    Kind.SIZE: 0,
    Kind.LIST: (),
    Kind.MAP: {},
    Kind.RUNTIMES: {},
    Kind.ULIMITS: {},
    Kind.IMAGE_GC: None,
    Kind.BUILDER: builder.BuilderConfig(),
    Kind.ADDRESS: "",
    Kind.POOLS: (),
    Kind.OPTIONS: {},
}


class RuntimePath(msgspec.Struct, frozen=True):
    """An OCI runtime: its executable (a path, or a name to be found in PATH) and arguments in front."""

    path: str
    args: tuple[str, ...] = ()


def from_flags(setting: Setting, texts: Sequence[str]) -> Any:
    """The value of a flag given with these texts; InvalidArgument naming the flag."""
    try:
        return _FROM_FLAGS[setting.kind](texts)
    except ValueError as error:
        shown = f"-{setting.short}, --{setting.flag}" if setting.short else f"--{setting.flag}"
        raise errdefs.InvalidArgument(
            f'invalid argument "{texts[-1]}" for "{shown}" flag: {error}'
        ) from error


def from_file(setting: Setting, value: Any) -> Any:
    """The value of a key in the file; InvalidArgument naming the key."""
    try:
        return _FROM_FILE[setting.kind](value)
    except ValueError as error:
        raise errdefs.InvalidArgument(f"{setting.key}: {error}") from error


def parse_bool(text: str) -> bool:
    """Go's booleans; ValueError for others."""
    if text not in _TRUE and text not in _FALSE:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE


def parse_size(text: str) -> int:
    """Bytes of "64m" or "1.5GiB", in powers of 1024; ValueError for others."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"invalid size: '{text}'")
    return int(float(found[1]) * 1024 ** _POWERS[found[2].lower()])


def container_size(storage_opts: Iterable[str]) -> int:
    """Bytes that containers may hold, by overlay2.size; 0 for any number. Other drivers' options mean nothing here.

    InvalidArgument in dockerd's words.
    """
    size = 0
    for option in storage_opts:
        name, equals, value = option.partition("=")
        if not equals:
            raise errdefs.InvalidArgument(f"unable to parse storage-opt key/value: {option}")
        if name.lower() == "overlay2.size":
            try:
                size = parse_size(value)
            except ValueError as error:
                raise errdefs.InvalidArgument(f"storage-opts: {error}") from error
        elif name.lower().startswith("overlay2.") and name.lower() != "overlay2.override_kernel_check":
            raise errdefs.InvalidArgument(f"overlay2: unknown option {name}")
    return size


def parse_ulimit(text: str) -> Ulimit:
    """A limit from `name=soft[:hard]`; ValueError in Docker's words."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    soft, _, hard = limits.partition(":")
    return _ulimit(name, _parse_number(soft), _parse_number(hard or soft))


def _ulimit(name: str, soft: int, hard: int) -> Ulimit:
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    if hard != -1 and (soft > hard or soft == -1):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Ulimit(name=name, soft=soft, hard=hard)


def _parse_number(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text) is None:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _address(text: str, failure: str) -> str:
    """An IP address in its usual form, or "" for none."""
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise ValueError(failure) from None


def _last(parse: Callable[[str], Any]) -> Callable[[Sequence[str]], Any]:
    return lambda texts: parse(texts[-1])


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _runtimes(texts: Sequence[str]) -> dict[str, RuntimePath]:
    found: dict[str, RuntimePath] = {}
    for text in texts:
        name, _, path = text.partition("=")
        name, path = name.strip().lower(), path.strip()
        if not name or not path:
            raise ValueError(f"invalid runtime argument: {text}")
        _require_free(name, found)
        found[name] = RuntimePath(path)
    return found


def _require_free(name: str, found: dict[str, RuntimePath]) -> None:
    if name == _RESERVED_RUNTIME:
        raise ValueError(f"runtime name '{name}' is reserved")
    if name in found:
        raise ValueError(f"runtime '{name}' was already defined")


def _limits(texts: Sequence[str]) -> dict[str, Ulimit]:
    return {limit.name: limit for limit in map(parse_ulimit, texts)}


def _wrong(text: str) -> ValueError:
    """What a person wrote is of the wrong type: no TypeError, which is for mistakes of code."""
    return ValueError(text)


def _a(kind: type, words: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _wrong(f"must be {words}")
        return value

    return check


_file_text = _a(str, "a text")
_file_number = _a(int, "a whole number")


def _file_size(value: Any) -> int:
    if isinstance(value, str):
        return parse_size(value)
    return int(_a(int, 'a number of bytes or a size such as "64m"')(value))


def _file_list(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong("must be a list of texts")
    return tuple(value)


def _file_map(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _wrong('must be an object, {"name": "value"}')
    for name, text in value.items():
        if not isinstance(text, str):
            raise _wrong(f'the value of "{name}" must be a text: "{text}"')
    return dict(value)


def _file_runtimes(value: Any) -> dict[str, RuntimePath]:
    found: dict[str, RuntimePath] = {}
    for name, one in _a(dict, 'an object, {"name": {"path": …}}')(value).items():
        _require_free(name, found)
        found[name] = _file_runtime(name, one)
    return found


def _file_runtime(name: str, value: Any) -> RuntimePath:
    if not isinstance(value, dict):
        raise _wrong(f'"{name}" must be an object with a "path"')
    if value.get("runtimeType") or value.get("options"):
        raise ValueError(f'"{name}": runtimeType and options are not supported yet: give a "path"')
    path, args = value.get("path") or "", value.get("runtimeArgs") or []
    if not isinstance(path, str) or not path:
        raise ValueError(f'"{name}" must have a "path"')
    return RuntimePath(path, _file_list(args))


def _file_limits(value: Any) -> dict[str, Ulimit]:
    found: dict[str, Ulimit] = {}
    for name, one in _a(dict, 'an object, {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 1}}')(
        value
    ).items():
        fields = {key.lower(): field for key, field in _a(dict, "an object of objects")(one).items()}
        soft, hard = (_file_number(fields.get(field, 0)) for field in ("soft", "hard"))
        found[name] = _ulimit(str(fields.get("name") or name), soft, hard)
    return found


_FROM_FLAGS: dict[Kind, Callable[[Sequence[str]], Any]] = {
    Kind.BOOL: _last(parse_bool),
    Kind.TEXT: _last(str),
    Kind.NUMBER: _last(_parse_number),
    Kind.SIZE: _last(parse_size),
    Kind.LIST: tuple,
    Kind.MAP: _pairs,
    Kind.RUNTIMES: _runtimes,
    Kind.ULIMITS: _limits,
    Kind.ADDRESS: _last(lambda text: _address(text, f'failed to parse IP: "{text}"')),
    Kind.POOLS: networking.pools_of_flags,
    Kind.OPTIONS: networking.options_of_flags,
    Kind.OPAQUE: list,
}
_FROM_FILE: dict[Kind, Callable[[Any], Any]] = {
    Kind.BOOL: _a(bool, "true or false"),
    Kind.TEXT: _file_text,
    Kind.NUMBER: _file_number,
    Kind.SIZE: _file_size,
    Kind.LIST: _file_list,
    Kind.MAP: _file_map,
    Kind.RUNTIMES: _file_runtimes,
    Kind.ULIMITS: _file_limits,
    Kind.IMAGE_GC: image_gc.from_file,
    Kind.BUILDER: lambda value: builder.from_file(value, parse_size),
    Kind.ADDRESS: lambda value: _address(_file_text(value), f"invalid IP address: {value}"),
    Kind.POOLS: networking.pools_of_file,
    Kind.OPTIONS: networking.options_of_file,
    Kind.OPAQUE: lambda value: value,
}
