"""Volumes as list, inspect and disk usage show them."""

from typing import Any

import msgspec

from api.schema.times import go_time
from engine.volumes.listing import Shown
from engine.volumes.prune import Usage
from volumes.volume import LOCAL

_SECOND = 1_000_000_000
_NEVER = "0001-01-01T00:00:00Z"


class CreateOptions(msgspec.Struct, rename="pascal"):
    """The body of `POST /volumes/create`."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, Any] | None = None


def inspect(shown: Shown) -> dict[str, Any]:
    """A volume; times are of whole seconds. When one of a plugin was made, the plugin tells or nobody."""
    volume, seen = shown.volume, shown.seen
    own = go_time(volume.created // _SECOND * _SECOND) if volume.driver == LOCAL else _NEVER
    status = {"Status": dict(seen.status)} if seen.status else {}
    return {
        "CreatedAt": seen.created or own,
        "Driver": volume.driver,
        "Labels": volume.labels,
        "Mountpoint": seen.mountpoint,
        "Name": volume.name,
        "Options": volume.options,
        "Scope": shown.scope,
        **status,
    }


def usage(shown: dict[str, Any], used: Usage) -> dict[str, Any]:
    """A volume with what it takes."""
    return {**shown, "UsageData": {"RefCount": used.users, "Size": used.size}}
