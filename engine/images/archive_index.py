"""What a saved archive says of itself: manifest.json, index.json, oci-layout, repositories. Pure.

As dockerd writes them since 25: manifest.json is for Docker, index.json for whoever reads OCI layouts, and
repositories for tools from before both.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.images import layouts
from engine.images.image import Image
from engine.images.reference import Reference

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


class Saved(msgspec.Struct, frozen=True):
    """An image in the archive: the names it goes by there, and the document that its manifest is."""

    image: Image
    names: Sequence[Reference]
    manifest: bytes


def documents(saved: Sequence[Saved]) -> dict[str, bytes]:
    """The members beside the blobs, by name, in the order in which they are written."""
    descriptors = [each for one in saved for each in named(descriptor(one), one.names)]
    found = {
        layouts.INDEX: index(descriptors or None),
        layouts.MANIFEST: _lines([_archived(each, saved) for each in saved] or None),
        "oci-layout": _LAYOUT,
    }
    if repositories := _repositories(saved):
        found["repositories"] = _lines(repositories)
    return found


def layout(descriptors: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """The members beside the blobs of an OCI layout alone."""
    return {layouts.INDEX: index(descriptors), "oci-layout": _LAYOUT}


def index(descriptors: Sequence[dict[str, Any]] | None) -> bytes:
    """An OCI image index."""
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors})


def descriptor(saved: Saved) -> dict[str, Any]:
    """Of an image's manifest."""
    return {
        "mediaType": layouts.media_type(layouts.manifest(saved.manifest, "image manifest")),
        "digest": saved.image.manifest,
        "size": len(saved.manifest),
    }


def named(plain: dict[str, Any], names: Sequence[Reference]) -> list[dict[str, Any]]:
    """One for each name, or one without a name: whoever loads the archive finds the image in any case."""
    return [{**plain, "annotations": layouts.name_annotations(name)} for name in names] or [plain]


def _archived(saved: Saved, together: Sequence[Saved]) -> dict[str, Any]:
    image = saved.image
    entry: dict[str, Any] = {
        "Config": layouts.blob_path(image.id),
        "RepoTags": [name.familiar for name in saved.names] or None,
        "Layers": [layouts.blob_path(layer.blob) for layer in image.layers],
    }
    if any(other.image.id == image.parent for other in together):
        entry["Parent"] = image.parent
    # Of plain tars alone: a loader takes them for what the layer is once it is unpacked.
    sources = {
        layer.diff_id: {"mediaType": layer.media_type, "size": layer.blob_size, "digest": layer.blob}
        for layer in image.layers
        if layer.blob == layer.diff_id
    }
    if sources:
        entry["LayerSources"] = sources
    return entry


def _repositories(saved: Sequence[Saved]) -> dict[str, dict[str, str]]:
    """The uppermost layer of each tag of each repository."""
    found: dict[str, dict[str, str]] = {}
    for each in saved:
        for name in each.names if each.image.layers else ():
            top = each.image.layers[-1].blob.removeprefix("sha256:")
            found.setdefault(name.familiar_name, {})[name.tag] = top
    return {name: dict(sorted(tags.items())) for name, tags in sorted(found.items())}


def _lines(document: object) -> bytes:
    return msgspec.json.encode(document) + b"\n"
