"""Volumes as list, inspect and disk usage show them."""

from typing import Any

import msgspec

from api.schema.times import go_time
from engine.volumes.prune import Usage
from volumes.volume import Volume

_SECOND = 1_000_000_000


class CreateOptions(msgspec.Struct, rename="pascal"):
    """The body of `POST /volumes/create`."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, Any] | None = None


def inspect(volume: Volume, mountpoint: str, scope: str) -> dict[str, Any]:
    """A volume; times are of whole seconds."""
    return {
        "CreatedAt": go_time(volume.created // _SECOND * _SECOND),
        "Driver": volume.driver,
        "Labels": volume.labels,
        "Mountpoint": mountpoint,
        "Name": volume.name,
        "Options": volume.options,
        "Scope": scope,
    }


def usage(shown: dict[str, Any], used: Usage) -> dict[str, Any]:
    """A volume with what it takes."""
    return {**shown, "UsageData": {"RefCount": used.users, "Size": used.size}}
