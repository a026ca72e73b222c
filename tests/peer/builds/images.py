"""What an image is, so that two of different days can be compared: its config, and its layers entry by entry."""

import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from typing import Any

NOW = "now"
_RECENT = 1_600_000_000  # seconds since 1970: what is younger was made by the build
_HASHES = re.compile(r"\b(?:file|dir|multi|sha256):[0-9a-f]{64}")
"""The classic builder tells which of them a source is; wherry does not tell a directory from a file."""
_TEXT = 400  # bytes of a file that are shown where they differ


@dataclass(frozen=True, slots=True)
class Image:
    """`config` without times and digests; of each layer its entries by name: type, mode, owner, time, target of a link,
    device, xattrs, and content or its digest.
    """

    config: dict[str, Any]
    layers: list[dict[str, tuple[Any, ...]]]


def read(archive: bytes, *, classic: bool) -> Image:
    """From what `docker save` writes. Of the `classic` builder's layers times of directories are not known, which it
    sets anew where BuildKit keeps them, nor modes beyond 777, which it loses where it sets owners.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        (manifest,) = json.loads(_content(opened, "manifest.json"))
        config = json.loads(_content(opened, manifest["Config"]))
        layers = [_layer(_content(opened, name), classic=classic) for name in manifest["Layers"]]
    _drop_empty(config, layers)
    return Image(_config(config), layers)


def _drop_empty(config: dict[str, Any], layers: list[dict[str, tuple[Any, ...]]]) -> None:
    """dockerd's BuildKit has a layer for every RUN, and in it /etc, where it put files and took them away."""
    steps = [step for step in config["history"] if not step.get("empty_layer")]
    for step, layer in zip(steps, list(layers), strict=True):
        if not any(name.startswith("etc/") for name in layer):
            layer.pop("etc", None)
        if not layer:
            layers.remove(layer)
            step["empty_layer"] = True
    config["rootfs"]["diff_ids"] = len(layers)


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    assert stream is not None
    return stream.read()


def _config(config: dict[str, Any]) -> dict[str, Any]:
    config["created"] = _moment(config.get("created", ""))
    for step in config["history"]:
        step["created"] = _moment(step.get("created", ""))
    for name in ("container", "docker_version"):
        config.pop(name, None)
    for part, names in (("config", ("Image",)), ("container_config", ("Hostname", "Entrypoint", "Image"))):
        for name in names:  # of the step before, and of a container that is gone
            (config.get(part) or {}).pop(name, None)
    hidden: dict[str, Any] = json.loads(_HASHES.sub("…", json.dumps(_said(config))))
    return hidden


def _said(value: Any) -> Any:
    """Without what is empty: one side writes it, the other leaves it out."""
    if isinstance(value, dict):
        said = {key: _said(inner) for key, inner in value.items()}
        return {key: inner for key, inner in said.items() if inner}
    return [_said(inner) for inner in value] if isinstance(value, list) else value


def _moment(text: str) -> str:
    """Times of this century's first quarter are of files or asked for, later ones of this run."""
    return text if text < "2025" else NOW


def _layer(blob: bytes, *, classic: bool) -> dict[str, tuple[Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(blob), errors="surrogateescape") as opened:
        return {entry.name: _entry(opened, entry, classic=classic) for entry in opened}


def _entry(archive: tarfile.TarFile, entry: tarfile.TarInfo, *, classic: bool) -> tuple[Any, ...]:
    """Of what says that something is gone, its name says all."""
    if "/.wh." in f"/{entry.name}":
        return ()
    content: object = ""
    if entry.isreg():
        stream = archive.extractfile(entry)
        data = stream.read() if stream else b""
        content = data if len(data) <= _TEXT else hashlib.sha256(data).hexdigest()
    xattrs = sorted(
        (key, value) for key, value in entry.pax_headers.items() if key.startswith("SCHILY.xattr")
    )
    when = "" if classic and entry.isdir() else NOW if entry.mtime > _RECENT else entry.mtime
    mode = entry.mode & (0o777 if classic and entry.isreg() else 0o7777)
    owner = (entry.uid, entry.gid)
    device = (entry.devmajor, entry.devminor) if entry.isdev() else ()
    return entry.type, oct(mode), owner, when, entry.linkname, device, xattrs, content
