"""An image of 85 MB in 5,000 files, as `docker load` takes it: one layer, of a root filesystem's compressibility."""

import hashlib
import io
import json
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

FILES, SIZE = 5_000, 17_000
NAME = "bench/large:latest"
EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive, the image's id and the digest of its layer."""

    path: Path
    image: str
    layer: str


def write(path: Path, files: int = FILES) -> Archive:
    """Write the archive; the same one each time."""
    layer = _layer(files)
    diff = digest(layer)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": EPOCH,
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff]},
        "history": [{"created": EPOCH}],
    }
    described = json.dumps(config).encode()
    image = digest(described)
    config_name = f"{image.removeprefix('sha256:')}.json"
    manifest = [{"Config": config_name, "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        _add(archive, config_name, described)
        _add(archive, "layer.tar", layer)
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return Archive(path, image, diff)


def digest(data: bytes) -> str:
    """The digest of a blob."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _layer(files: int) -> bytes:
    chance = random.Random(1)
    words = [chance.randbytes(12) for _ in range(4096)]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as layer:
        for number in range(files):
            text = b"".join(chance.choices(words, k=SIZE // 12))
            _add(layer, f"data/{number % 100:02}/{number}", text)
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))
