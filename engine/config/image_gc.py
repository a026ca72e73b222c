"""The setting `image-gc`: when images that nobody uses make room by themselves."""

from collections.abc import Mapping
from typing import Any

import msgspec

import errdefs
from engine.images.durations import parse_duration

_DEFAULTS: Mapping[str, Any] = {"high-watermark": 85, "low-watermark": 80, "min-age": "24h", "keep": []}


class ImageGC(msgspec.Struct, frozen=True, kw_only=True):
    """Once `high` percent of the data root's filesystem are used, images go until it is `low`.

    None goes that was used in the last `min_age` seconds, or that `keep` names: `label=name`, `label=name=value`, or
    a pattern of references as the filter `reference` takes it.
    """

    high: int
    low: int
    min_age: float
    keep: tuple[str, ...]


def from_file(value: Any) -> ImageGC:
    """What daemon.json says; ValueError with what is wrong."""
    if not isinstance(value, dict):
        raise _wrong('must be an object, {"high-watermark": 85, …}')
    if unknown := value.keys() - _DEFAULTS.keys():
        raise ValueError(f'has no setting "{min(unknown)}": there are {", ".join(_DEFAULTS)}')
    said = {**_DEFAULTS, **value}
    high, low = (_percent(name, said[name]) for name in ("high-watermark", "low-watermark"))
    if low >= high:
        raise ValueError(f'"low-watermark" ({low}) must be below "high-watermark" ({high})')
    return ImageGC(high=high, low=low, min_age=_seconds(said["min-age"]), keep=_patterns(said["keep"]))


def _percent(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
        raise ValueError(f'"{name}" must be a percentage, from 0 to 100')
    return value


def _seconds(value: Any) -> float:
    try:
        nanoseconds = parse_duration(value) if isinstance(value, str) else -1
    except errdefs.InvalidArgument as error:
        raise ValueError(f'"min-age": {error.message}') from None
    if nanoseconds < 0:
        raise ValueError('"min-age" must be a duration such as "24h"')
    return nanoseconds / 1e9


def _patterns(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise _wrong('"keep" must be a list of texts: "label=name", or patterns of references')
    return tuple(value)


def _wrong(text: str) -> ValueError:
    """What a person wrote is of the wrong type: no TypeError, which is for mistakes of code."""
    return ValueError(text)
