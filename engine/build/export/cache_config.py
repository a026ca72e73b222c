"""Build caches as documents: which steps there are, by their keys, and the layers that they made. Pure.

The shape is BuildKit's cache config, so that registries and tools know what it is; the keys are those of this solver.
A step that changed nothing is a record without a layer.
"""

from collections.abc import Mapping, Sequence

import msgspec

from engine.build.refs import Ref
from engine.build.results import CacheStep
from engine.images import documents, timestamps
from engine.images.image import Layer
from engine.images.layouts import OCI_MANIFEST, Descriptor, Manifest

CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"
_ROOT = -1  # what the lowest layer of a cache stands on


class _Annotations(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    media_type: str = ""
    diff_id: str = msgspec.field(default="", name="diffID")
    size: int = 0
    created_at: str = ""


class _Layer(msgspec.Struct, omit_defaults=True, kw_only=True):
    blob: str = ""
    parent: int = 0
    annotations: _Annotations = msgspec.field(default_factory=_Annotations)


class _Made(msgspec.Struct, rename="camel", kw_only=True):
    layer: int = 0
    created_at: str = ""


class _Record(msgspec.Struct, omit_defaults=True, kw_only=True):
    digest: str = ""
    layers: list[_Made] = msgspec.field(default_factory=list)


class _Config(msgspec.Struct, omit_defaults=True, kw_only=True):
    layers: list[_Layer] = msgspec.field(default_factory=list)
    records: list[_Record] = msgspec.field(default_factory=list)


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that a cache has: its blob, compressed or not, and what it is unpacked."""

    blob: Descriptor
    diff_id: str


Offers = Mapping[str, Offered | None]
"""What a cache has by key; None for a step that changed nothing."""


def encode(steps: Sequence[CacheStep], layers: Sequence[Layer]) -> bytes:
    """The config of a cache. `layers` are those of the steps that made one, in their order, as they are sent."""
    places: dict[str, int] = {}  # chain id: its layer's place
    config = _Config()
    sent = iter(layers)
    for step in steps:
        record = _Record(digest=step.key)
        if step.layer is not None:
            layer, created = next(sent), timestamps.render(step.created)
            if step.layer.chain_id not in places:
                places[step.layer.chain_id] = len(config.layers)
                about = _Annotations(
                    media_type=layer.media_type,
                    diff_id=layer.diff_id,
                    size=layer.blob_size,
                    created_at=created,
                )
                parent = places.get(step.root, _ROOT)
                config.layers.append(_Layer(blob=layer.blob, parent=parent, annotations=about))
            record.layers = [_Made(layer=places[step.layer.chain_id], created_at=created)]
        config.records.append(record)
    return msgspec.json.encode(config)


def manifest(config: Descriptor, layers: Sequence[Layer]) -> bytes:
    """The manifest of a cache, as a registry or a directory keeps it."""
    blobs = {
        each.blob: Descriptor(media_type=each.media_type, digest=each.blob, size=each.blob_size)
        for each in layers
    }
    document = Manifest(schema_version=2, media_type=OCI_MANIFEST, config=config, layers=list(blobs.values()))
    return msgspec.json.encode(document)


def inline(steps: Sequence[CacheStep], ref: Ref) -> bytes:
    """What the config of an image tells of the steps that made its layers; b"" for nothing."""
    places = {layer.chain_id: place for place, layer in enumerate(ref.layers)}
    records = [
        _Record(
            digest=step.key,
            layers=[_Made(layer=places[step.layer.chain_id], created_at=timestamps.render(step.created))]
            if step.layer
            else [],
        )
        for step in steps
        if step.layer is None or step.layer.chain_id in places
    ]
    return msgspec.json.encode(records) if records else b""


def offers(raw: bytes, blobs: Sequence[Descriptor]) -> dict[str, Offered | None]:
    """What a cache config offers of these blobs. InvalidArgument for what is none."""
    config = documents.read(raw, _Config, "cache config")
    there = {each.digest: each for each in blobs}
    layers = [
        Offered(blob=there[layer.blob], diff_id=layer.annotations.diff_id) if layer.blob in there else None
        for layer in config.layers
    ]
    return _of_records(config.records, layers)


def inline_offers(
    raw: bytes, blobs: Sequence[Descriptor], diff_ids: Sequence[str]
) -> dict[str, Offered | None]:
    """What the config of an image with those layers offers. InvalidArgument for what is none."""
    records = documents.read(raw, list[_Record], "inline cache")
    layers = [Offered(blob=blob, diff_id=diff_id) for blob, diff_id in zip(blobs, diff_ids, strict=False)]
    return _of_records(records, layers)


def _of_records(records: Sequence[_Record], layers: Sequence[Offered | None]) -> dict[str, Offered | None]:
    found: dict[str, Offered | None] = {}
    for record in records:
        places = [made.layer for made in record.layers]
        if not places:
            found[record.digest] = None
        elif 0 <= places[0] < len(layers) and (layer := layers[places[0]]) is not None:
            found[record.digest] = layer
    return found
