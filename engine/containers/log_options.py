"""`HostConfig.LogConfig` as values: pure."""

import re
from dataclasses import dataclass
from typing import Self

import errdefs
from engine.containers import log_attributes
from engine.containers.config import LogConfig

DRIVERS = ("json-file", "none")
_KNOWN = (
    "max-size",
    "max-file",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "compress",
    "tag",
    "mode",
    "max-buffer-size",
)
_MODES = ("", "blocking", "non-blocking")
_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[bkmgtpBKMGTP]?)[iI]?[bB]?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """`max_size` is bytes, None for no limit; `max_files` counts the current one."""

    max_size: int | None = None
    max_files: int = 1

    @classmethod
    def parse(cls, config: LogConfig) -> Self:
        """The options of a json-file log; InvalidArgument, in Docker's words, for what it does not take."""
        options = config.config or {}
        if config.type == "none":
            return cls()
        if config.type not in DRIVERS:
            raise errdefs.InvalidArgument(
                f'error looking up logging plugin {config.type}: plugin "{config.type}" not found'
            )
        mode = options.get("mode", "")
        if mode not in _MODES:
            raise errdefs.InvalidArgument(f"logger: logging mode not supported: {mode}")
        if "max-buffer-size" in options and mode != "non-blocking":
            raise errdefs.InvalidArgument(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
            )
        for name, value in options.items():
            if name not in _KNOWN:
                raise errdefs.InvalidArgument(f"unknown log opt '{name}' for {config.type} log driver")
            if name == "compress" and value == "true":
                raise errdefs.InvalidArgument(f"log opt '{name}' is not supported by this version of wherry")
        log_attributes.check(options)
        size = options.get("max-size", "")
        return cls(
            max_size=parse_size(size) if size else None,
            max_files=_count(options.get("max-file", "")),
        )


def parse_size(text: str) -> int:
    """Bytes of "10m", "1.5g" or "1024": decimal units, as Docker takes them here."""
    match = _SIZE.fullmatch(text)
    if match is None or float(match["number"]) == 0:
        raise errdefs.InvalidArgument(f"invalid size: '{text}'")
    return int(float(match["number"]) * _UNITS[match["unit"].lower()])


def _count(text: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdecimal()):
        raise errdefs.InvalidArgument(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 1:
        raise errdefs.InvalidArgument("max-file cannot be less than 1")
    return int(text)
