"""Image archives made by hand, with the tarfile module."""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Files = dict[str, bytes]
Members = Sequence[tarfile.TarInfo | tuple[str, bytes]]


def tar(members: Files | Members) -> bytes:
    """A plain tar of files, or of headers and files in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members.items() if isinstance(members, dict) else members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.mode = len(member[1]), 0o644
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def symlink(name: str, target: str) -> tarfile.TarInfo:
    """The header of a symbolic link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Made:
    """An image: its layers as plain tars, and what its config says beyond them."""

    layers: list[bytes] = field(default_factory=lambda: [tar({"etc/hello": b"hello\n"})])
    tags: list[str] = field(default_factory=lambda: ["made:latest"])
    said: dict[str, Any] = field(default_factory=dict)
    blobs: list[bytes] | None = None  # the layers as they are stored, where that is not plain

    @property
    def config(self) -> bytes:
        base = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": {"Cmd": ["sh"], "Labels": {"made": "yes"}},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in self.layers]},
            "history": [{"created_by": f"step {n}"} for n, _ in enumerate(self.layers)],
        }
        return json.dumps({**base, **self.said}).encode()

    @property
    def id(self) -> str:
        return digest(self.config)

    @property
    def stored(self) -> list[bytes]:
        return self.layers if self.blobs is None else self.blobs


def manifest_json(*images: Made) -> bytes:
    """The manifest.json of a docker-archive."""
    entries = [
        {
            "Config": f"{image.id[7:]}.json",
            "RepoTags": image.tags or None,
            "Layers": [f"{digest(blob)[7:]}/layer.tar" for blob in image.stored],
        }
        for image in images
    ]
    return json.dumps(entries).encode()


def docker_files(*images: Made) -> Files:
    """The members of a docker-archive."""
    files: Files = {}
    for image in images:
        files |= {f"{digest(blob)[7:]}/layer.tar": blob for blob in image.stored}
        files[f"{image.id[7:]}.json"] = image.config
    files["manifest.json"] = manifest_json(*images)
    return files


def docker_archive(*images: Made) -> bytes:
    """What `docker save` writes."""
    return tar(docker_files(*images))


def oci_files(*images: Made, annotations: dict[str, str] | None = None) -> Files:
    """The members of an OCI image layout."""
    files: Files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    entries = []
    for image in images:
        for blob in (image.config, *image.stored):
            files[f"blobs/sha256/{digest(blob)[7:]}"] = blob
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": descriptor(image.config, "application/vnd.oci.image.config.v1+json"),
                "layers": [descriptor(b, "application/vnd.oci.image.layer.v1.tar") for b in image.stored],
            }
        ).encode()
        files[f"blobs/sha256/{digest(manifest)[7:]}"] = manifest
        entry = descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")
        named = {"io.containerd.image.name": image.tags[0]} if image.tags else {}
        entries.append({**entry, "annotations": named if annotations is None else annotations})
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return files


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


@dataclass
class Old:
    """An image of docker before 1.10: one layer, what its `json` says, and the old id that it is known by."""

    id: str
    layer: bytes
    parent: str = ""
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def json(self) -> bytes:
        base = {"id": self.id, "created": "2015-01-02T03:04:05Z", "architecture": "amd64", "os": "linux"}
        return json.dumps(
            {**base, **({"parent": self.parent} if self.parent else {}), **self.said}, ensure_ascii=False
        ).encode()


def legacy_files(images: Sequence[Old], repositories: dict[str, dict[str, str]]) -> Files:
    """The members of an archive that docker before 1.10 saved."""
    files: Files = {}
    for image in images:
        files[f"{image.id}/VERSION"] = b"1.0"
        files[f"{image.id}/json"] = image.json
        files[f"{image.id}/layer.tar"] = image.layer
    return {**files, "repositories": json.dumps(repositories).encode()}


TWO = [tar({"etc/hello": b"hello\n"}), tar({"etc/more": b"more\n", "etc/.wh.hello": b""})]
"""Layers: a file, and another in its place."""
