"""`HostConfig.LogConfig` as values: pure, but for the files that an address names."""

from collections.abc import Callable
from typing import Any, Self

import msgspec

import errdefs
from engine.containers import log_attributes
from engine.containers.config import LogConfig
from engine.logs.drivers import values
from engine.logs.drivers.remote import REMOTE

JSON_FILE, LOCAL, NONE = "json-file", "local", "none"
DRIVERS = (*sorted((*REMOTE, JSON_FILE, LOCAL)), NONE)
CACHE_OPTIONS = frozenset({"cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"})
"""Options of the local copy of a log that is sent, which the daemon's defaults give to every driver."""
MAX_SIZE, MAX_FILES = 20_000_000, 5
"""Of a log whose options do not say: it never fills a disk."""
MAX_BUFFER = 1 << 20
"""Bytes that may wait unsent with mode=non-blocking, if `max-buffer-size` does not say."""

_FOR_ALL = frozenset({"mode", "max-buffer-size"})
_JSON_FILE = frozenset(
    {"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"}
)
_LOCAL = frozenset({"max-size", "max-file", "compress"})
_MODES = ("", "blocking", "non-blocking")
_ELSEWHERE = ("awslogs", "gcplogs", "splunk", "etwlogs")


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the output is kept on disk, and how it is sent where the driver sends it.

    `max_size` is bytes; `max_files` counts the current one. `readable`: `docker logs` gives it. `limit`: bytes that
    may wait unsent, None for all that is kept.
    """

    max_size: int = MAX_SIZE
    max_files: int = MAX_FILES
    compress: bool = False
    readable: bool = True
    limit: int | None = None

    @classmethod
    def parse(cls, config: LogConfig) -> Self:
        """The options as asked; InvalidArgument, in Docker's words, for what the driver does not take."""
        options = config.config or {}
        if config.type == NONE:
            return cls(readable=False)
        limit = _limit(options)
        _require_known(config.type)
        disabled = _disabled(options)
        _require_options(config.type, options)
        log_attributes.check(options)
        if config.type == JSON_FILE:
            return cls(**_json_file(options))
        if config.type == LOCAL:
            return cls(**_local(options))
        REMOTE[config.type].check(options)
        copy = {name.removeprefix("cache-"): options[name] for name in CACHE_OPTIONS & options.keys()}
        return cls(**_local(copy), readable=not disabled, limit=limit)


def _limit(options: dict[str, str]) -> int | None:
    mode = options.get("mode", "")
    if mode not in _MODES:
        raise errdefs.InvalidArgument(f"logger: logging mode not supported: {mode}")
    if (size := options.get("max-buffer-size")) is None:
        return MAX_BUFFER if mode == "non-blocking" else None
    if mode != "non-blocking":
        raise errdefs.InvalidArgument(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        )
    try:
        return values.size(size, base=1024) or MAX_BUFFER
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"error parsing option max-buffer-size: {error.message}") from error


def _require_known(driver: str) -> None:
    if driver in _ELSEWHERE:
        raise errdefs.InvalidArgument(
            f"the {driver} logging driver is not part of wherry: "
            "send logs to a collector that knows that service, by fluentd, gelf or syslog"
        )
    if driver == "logentries":
        raise errdefs.InvalidArgument("the logentries logging driver has been deprecated and removed")
    if driver not in DRIVERS:
        raise errdefs.InvalidArgument(
            f'error looking up logging plugin {driver}: plugin "{driver}" not found'
        )


def _disabled(options: dict[str, str]) -> bool:
    value = options.get("cache-disabled", "")
    try:
        return bool(value) and values.boolean(value)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"invalid value for option cache-disabled: {value}") from error


def _require_options(driver: str, options: dict[str, str]) -> None:
    own = {JSON_FILE: _JSON_FILE, LOCAL: _LOCAL}.get(driver) or REMOTE[driver].options
    text = (
        "unknown log opt '{}' for log driver {}"
        if driver == LOCAL
        else "unknown log opt '{}' for {} log driver"
    )
    if driver == "gelf":
        REMOTE[driver].check({"gelf-address": options.get("gelf-address", "")})  # as Docker, first of all
        text = 'unknown log opt "{}" for {} log driver'
    for name in options:
        if name not in own and name not in CACHE_OPTIONS and name not in _FOR_ALL:
            raise errdefs.InvalidArgument(text.format(name, driver))


def _json_file(options: dict[str, str]) -> dict[str, Any]:
    """What has a size and no number of files keeps one, as in Docker; what has neither keeps as many as is usual."""
    found: dict[str, Any] = {}
    if (text := options.get("max-size")) is not None:
        found = {"max_size": values.size(text), "max_files": 1}
        if not found["max_size"]:
            raise errdefs.InvalidArgument("max-size must be a positive number")
    if (text := options.get("max-file")) is not None:
        found["max_files"] = values.integer(text)
        if found["max_files"] < 1:
            raise errdefs.InvalidArgument("max-file cannot be less than 1")
    if (text := options.get("compress")) is not None and values.boolean(text):
        if found.get("max_files", MAX_FILES) < 2:
            raise errdefs.InvalidArgument(
                "compress cannot be true when max-file is less than 2 or max-size is not set"
            )
        found["compress"] = True
    return found


def _local(options: dict[str, str]) -> dict[str, Any]:
    """Of a file that only the daemon reads: rotated and compressed unless told otherwise."""
    found: dict[str, Any] = {"compress": True}
    if (text := options.get("max-size")) is not None:
        found["max_size"] = _named("invalid value for max-size", text, values.size) or MAX_SIZE
    if (text := options.get("max-file")) is not None:
        found["max_files"] = _named("invalid value for max-file", text, values.integer)
        if found["max_files"] < 0:
            raise errdefs.InvalidArgument("max file count cannot be less than 0")
    if (text := options.get("compress")) is not None:
        try:
            found["compress"] = values.boolean(text)
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(f"error reading compress log option: {error.message}") from error
    if found["compress"] and found.get("max_files", MAX_FILES) < 2:
        raise errdefs.InvalidArgument("compression cannot be enabled when max file count is 1")
    found["max_files"] = found.get("max_files", MAX_FILES) or 1
    return found


def _named(what: str, text: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(text)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"{what}: {text}: {error.message}") from error
