"""daemon.json: read, and held against the command line."""

import json
import os
import stat
from collections.abc import Collection, Mapping
from typing import Any

import errdefs
from engine.config import networking
from engine.config.command_line import Given
from engine.config.registries import masked
from engine.config.settings import BY_FLAG, BY_KEY, OBJECTS, Kind

MAX_BYTES = 1 << 20

_MERGED = frozenset({"runtimes"})  # may be said in both places
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read(path: str) -> dict[str, Any] | None:
    """The settings of the file by their keys, None if there is no such file.

    InvalidArgument, naming the line, for what is no JSON object, and for keys that Docker does not know.
    """
    content = _content(path)
    return None if content is None else parse(content)


def parse(content: bytes) -> dict[str, Any]:
    """The settings in a file's bytes; see `read`."""
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise errdefs.InvalidArgument(f"line {line}: not {encoding}") from error
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise errdefs.InvalidArgument(
            f"invalid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise errdefs.InvalidArgument("invalid JSON: nested too deeply") from error
    if not isinstance(document, dict):
        raise errdefs.InvalidArgument("invalid JSON: line 1: the file must hold an object: {…}")
    return _known(_flattened(document))


def require_no_conflict(settings: Mapping[str, Any], given: Given) -> None:
    """Pass if no setting is given in both places; else InvalidArgument with dockerd's text."""
    conflicts = [
        f"{key}: (from flag: {_masked(key, _flag_text(flag, values))},"
        f" from file: {_masked(key, _go_text(settings[key]))})"
        for flag, values in sorted(given.items())
        if (key := BY_FLAG[flag].key) in settings and key not in _MERGED
    ]
    if conflicts:
        raise errdefs.InvalidArgument(
            "the following directives are specified both as a flag and in the configuration file: "
            + ", ".join(conflicts)
        )


def _content(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errdefs.InvalidArgument(f"open {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise errdefs.InvalidArgument(f"{path} is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise errdefs.InvalidArgument(f"{path} is larger than {MAX_BYTES} bytes")
    return content


def _flattened(document: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict) and key not in OBJECTS:
            settings.update(value)
        else:
            settings[key] = value
    return settings


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    unknown = [_shown(key) for key in settings if key not in BY_KEY]
    if unknown:
        raise errdefs.InvalidArgument(
            "the following directives don't match any configuration option: " + ", ".join(unknown)
        )
    return settings


def _shown(key: str) -> str:
    setting = BY_FLAG.get(key)
    return f"{key} (in the file it is {setting.key})" if setting is not None and setting.key else key


def _flag_text(flag: str, values: Collection[str]) -> str:
    """A flag's value as Go prints it."""
    kind = BY_FLAG[flag].kind
    if kind in (Kind.LIST, Kind.ULIMITS, Kind.OPAQUE):
        return f"[{' '.join(values)}]"
    if kind is Kind.POOLS:
        return networking.shown(networking.pools_of_flags(list(values)))
    if kind is Kind.MAP:
        return f"map[{' '.join(sorted(value.replace('=', ':', 1) for value in values))}]"
    return list(values)[-1]


def _go_text(value: Any) -> str:
    """A JSON value as Go's %v prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(_go_text, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go_text(value[key])}' for key in sorted(value))}]"
    return "<nil>" if value is None else str(value)


def _masked(key: str, text: str) -> str:
    """A proxy's URL without its password."""
    return masked(text) if key in ("http-proxy", "https-proxy") else text
