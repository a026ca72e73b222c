"""Images of layers that are files: pushed into a registry, or written as an OCI layout, by no client of ours."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import zstandard
from isal import igzip

from tests.registries import DOCKER_MANIFEST, OCI_MANIFEST, DebianRegistry, digest_of

_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_SUFFIXES = {"gzip": "gz", "zstd": "zst", "": ""}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it is stored, and its digest uncompressed. `compression` is "gzip", "zstd" or ""."""

    path: Path
    compression: str
    diff_id: str
    digest: str

    @property
    def size(self) -> int:
        """Bytes as it is stored."""
        return self.path.stat().st_size


@dataclass(frozen=True, slots=True)
class Image:
    """An image of Docker's format, which has no zstd, or of OCI's."""

    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes
    media_type: str

    @property
    def id(self) -> str:
        """The digest of its config."""
        return digest_of(self.config)

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return digest_of(self.manifest)

    @property
    def diff_ids(self) -> list[str]:
        """What inspect tells of its layers."""
        return [layer.diff_id for layer in self.layers]

    def put(self, registry: DebianRegistry, repository: str, tag: str) -> None:
        """Have it in a registry; the layers are not copied, but linked into its storage."""
        for layer in self.layers:
            registry.link_blob(repository, layer.path, layer.digest)
        registry.put_blob(repository, self.config)
        registry.put_manifest(repository, tag, json.loads(self.manifest))

    def write_layout(self, path: Path, name: str) -> None:
        """An OCI layout in a tar, of which `name` is the image's."""
        entry = _descriptor(self.manifest, self.media_type)
        entry["annotations"] = {"io.containerd.image.name": name}
        documents = {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
            f"blobs/sha256/{self.id.removeprefix('sha256:')}": self.config,
            f"blobs/sha256/{self.digest.removeprefix('sha256:')}": self.manifest,
        }
        with tarfile.open(path, "w") as archive:
            for member, data in documents.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, BytesIO(data))
            for layer in {each.digest: each for each in self.layers}.values():
                archive.add(layer.path, f"blobs/sha256/{layer.digest.removeprefix('sha256:')}")


def compressed(tar: Path, compression: str) -> Layer:
    """A layer of a tar, which is written beside it unless it stays as it is."""
    path = tar.with_suffix(f".tar.{_SUFFIXES[compression]}") if compression else tar
    with tar.open("rb") as source, path.open("ab") as target:
        if compression == "gzip":
            with igzip.IGzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
        elif compression == "zstd":
            zstandard.ZstdCompressor(level=1).copy_stream(source, target)
    return Layer(path, compression, _digest_of_file(tar), _digest_of_file(path))


def image(layers: Iterable[Layer], *, oci: bool = True, config: Mapping[str, Any] | None = None) -> Image:
    """An image of layers; `config` is what a container gets of it."""
    made = tuple(layers)
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-02T03:04:05Z",
        "config": {"Cmd": ["bash"], "Env": ["PATH=/usr/sbin:/usr/bin"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in made]},
        "history": [
            {"created": "2024-01-02T03:04:05Z", "created_by": f"layer {number}", "comment": "of tests"}
            for number, _ in enumerate(made)
        ],
    }
    raw_config = json.dumps(document).encode()
    media_type = OCI_MANIFEST if oci else DOCKER_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(raw_config, _OCI_CONFIG if oci else _DOCKER_CONFIG),
        "layers": [
            {"mediaType": _layer_type(layer, oci=oci), "digest": layer.digest, "size": layer.size}
            for layer in made
        ],
    }
    return Image(made, raw_config, json.dumps(manifest).encode(), media_type)


def _layer_type(layer: Layer, *, oci: bool) -> str:
    if oci:
        return f"{_OCI_LAYER}+{layer.compression}" if layer.compression else _OCI_LAYER
    return f"{_DOCKER_LAYER}.{layer.compression}" if layer.compression else _DOCKER_LAYER


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
