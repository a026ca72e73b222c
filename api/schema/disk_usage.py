"""The answer of `GET /system/df`, by API version: totals since 1.52, lists until then and beside them.

Sizes are what lies on the disk, so that their sum is all of it: those of images are of layers and of blobs, where lists
of images tell of layers alone, those of containers are of what they wrote and logged. What is of none of Docker's
kinds, the database above all, is EngineUsage, since 1.52.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from api.schema import images as image_schema
from api.versions import Version
from engine.build import cache_filters
from engine.images import timestamps
from engine.images.listing import Listed
from engine.images.usage import Stored

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


def images(listed: Iterable[Listed], everything: Iterable[Listed], stored: Stored, version: Version) -> Usage:
    """Of the images that a list shows; the size is that of all there is for images, each part counted once."""
    everything = list(everything)
    records = [each.image for each in everything]
    used = [each.image for each in everything if each.users]
    usage = Usage(size=stored.size, reclaimable=stored.reclaimable(used, records))
    shared = stored.shared(records)
    for each in listed:
        shown = image_schema.summary(each, version, shared=True) | {
            "Containers": len(each.users),
            "Size": stored.of(each.image),
            "SharedSize": shared[each.image.id],
        }
        if "VirtualSize" in shown:
            shown["VirtualSize"] = shown["Size"]
        if version.before("1.52"):
            shown["RepoDigests"] = shown["RepoDigests"] or None
        usage.items.append(shown)
        usage.active += bool(each.users)
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


def build_cache(usages: Iterable[cache_filters.Usage], version: Version) -> Usage:
    """Of what was kept of builds; the size is of what no image has as well, which is counted there."""
    usages = list(usages)
    return Usage(
        items=[_cached(each, version) for each in usages],
        active=sum(each.in_use for each in usages),
        reclaimable=sum(each.own for each in usages if not each.in_use),
        size=sum(each.own for each in usages),
    )


def _cached(usage: cache_filters.Usage, version: Version) -> dict[str, Any]:
    record = usage.record
    shown: dict[str, Any] = {"ID": record.id}
    if record.parent:
        shown |= {"Parent": record.parent} if version.before("1.42") else {"Parents": [record.parent]}
    return shown | {
        "Type": record.kind,
        "Description": record.description,
        "InUse": usage.in_use,
        "Shared": usage.shared,
        "Size": usage.size,
        "CreatedAt": timestamps.render(record.created),
        "LastUsedAt": timestamps.render(record.used),
        "UsageCount": record.uses,
    }


def answer(
    found: Mapping[str, Usage], version: Version, *, verbose: bool, own: int | None = None
) -> dict[str, Any]:
    """The body. Before 1.52 kinds that were not asked for are null; since then they are left out.

    `own` are the bytes of what the engine itself keeps, None if they were not asked for.
    """
    if version.before("1.52"):
        legacy: dict[str, Any] = dict.fromkeys(_LEGACY.values())
        builder = sum(each["Size"] for each in _lists(found).get("BuildCache", ()))
        old = {"BuilderSize": builder} if builder and version.before("1.42") else {}
        return {"LayersSize": _layers_size(found), **legacy, **_lists(found), **old}
    totals = {_NAMES[kind]: _total(usage) for kind, usage in found.items()}
    if own is not None:
        totals["EngineUsage"] = {"TotalSize": own}
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
