"""The answer of `GET /system/df`, by API version: totals since 1.52, lists until then and beside them."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from api.schema import images as image_schema
from api.versions import Version
from engine.images.listing import Listed

KINDS = ("image", "container", "volume", "build-cache")
_LEGACY = {"image": "Images", "container": "Containers", "volume": "Volumes", "build-cache": "BuildCache"}
_NAMES = {
    "image": "ImageUsage",
    "container": "ContainerUsage",
    "volume": "VolumeUsage",
    "build-cache": "BuildCacheUsage",
}
_ACTIVE = frozenset({"running", "paused", "restarting"})


class Usage(msgspec.Struct, kw_only=True):
    """One kind of thing: entries as their list shows them, and sizes in bytes."""

    items: list[dict[str, Any]] = msgspec.field(default_factory=list)
    active: int = 0
    reclaimable: int = 0
    size: int = 0


def images(listed: Iterable[Listed], everything: Iterable[Listed], version: Version) -> Usage:
    """Of the images that a list shows; the size is that of all layers, each counted once."""
    usage = Usage(
        size=sum({layer.chain_id: layer.size for each in everything for layer in each.image.layers}.values())
    )
    for each in listed:
        shown = image_schema.summary(each, version, shared=True) | {"Containers": len(each.users)}
        if version.before("1.52"):
            shown["RepoDigests"] = shown["RepoDigests"] or None
        usage.items.append(shown)
        usage.active += bool(each.users)
        usage.reclaimable += each.image.size - each.shared_size if not each.users else 0
    return usage


def containers(summaries: list[dict[str, Any]]) -> Usage:
    """Of containers, by their entries with sizes."""
    sizes = [(shown.get("SizeRw", 0), shown["State"] in _ACTIVE) for shown in summaries]
    return Usage(
        items=[
            {key: value for key, value in each.items() if key != "ImageManifestDescriptor"}
            for each in summaries
        ],
        active=sum(active for _, active in sizes),
        reclaimable=sum(size for size, active in sizes if not active),
        size=sum(size for size, _ in sizes),
    )


def volumes(shown: list[dict[str, Any]]) -> Usage:
    """Of volumes, by their entries with `UsageData`; a size of -1 is not known."""
    known = [each["UsageData"] for each in shown if each["UsageData"]["Size"] != -1]
    idle = [each["Size"] for each in known if each["RefCount"] == 0]
    return Usage(
        items=shown,
        active=len(shown) - len(idle),
        reclaimable=sum(idle),
        size=sum(each["Size"] for each in known),
    )


def answer(found: Mapping[str, Usage], version: Version, *, verbose: bool) -> dict[str, Any]:
    """The body. Before 1.52 kinds that were not asked for are null; since then they are left out."""
    if version.before("1.52"):
        legacy: dict[str, Any] = dict.fromkeys(_LEGACY.values())
        return {"LayersSize": _layers_size(found), **legacy, **_lists(found)}
    totals = {_NAMES[kind]: _total(usage) for kind, usage in found.items()}
    if verbose:
        return totals
    size = _layers_size(found)
    return {**({"LayersSize": size} if size else {}), **_lists(found), **totals}


def _layers_size(found: Mapping[str, Usage]) -> int:
    return found["image"].size if "image" in found else 0


def _lists(found: Mapping[str, Usage]) -> dict[str, Any]:
    return {_LEGACY[kind]: usage.items for kind, usage in found.items()}


def _total(usage: Usage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ActiveCount": usage.active,
        "Items": usage.items,
        "Reclaimable": usage.reclaimable,
        "TotalCount": len(usage.items),
        "TotalSize": usage.size,
    }
    return {name: value for name, value in shown.items() if value}
