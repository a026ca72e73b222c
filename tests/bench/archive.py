"""Images: busybox, and files of 17 kB that tell whether they are all there.

They can be packed 3 to 1, as root filesystems can.
"""

import hashlib
import io
import json
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES, SIZE = 5_000, 17_000
NAME = "bench/large:latest"
EPOCH = "1970-01-01T00:00:00Z"
LOOK = ("sh", "-c", "cd /data; find . -type f | sort | xargs cat | sha256sum; find . -type f | wc -l")
"""What a container of such an image, or of one with the same files, is asked; `Content.answer` is right."""
_BUSYBOX = Path(__file__).resolve().parents[2] / "contrib/scripts/busybox_image.py"


@dataclass(frozen=True, slots=True)
class Content:
    """An image: its config, its layers as plain archives, and what a container of it says to LOOK."""

    config: dict[str, Any]
    layers: list[bytes]
    answer: bytes

    @property
    def encoded(self) -> bytes:
        """The config's bytes, as `put_image` of a registry in tests encodes it, too."""
        return json.dumps(self.config).encode()

    @property
    def image(self) -> str:
        """The image's id."""
        return digest(self.encoded)

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the layers."""
        return list(self.config["rootfs"]["diff_ids"])

    def write(self, path: Path) -> None:
        """Write it as `docker load` takes it."""
        config_name = f"{self.image.removeprefix('sha256:')}.json"
        names = [f"{number}/layer.tar" for number in range(len(self.layers))]
        manifest = [{"Config": config_name, "RepoTags": [NAME], "Layers": names}]
        with tarfile.open(path, "w") as archive:
            _add(archive, config_name, self.encoded)
            for name, layer in zip(names, self.layers, strict=True):
                _add(archive, name, layer)
            _add(archive, "manifest.json", json.dumps(manifest).encode())


def make(files: int = FILES, layers: int = 1, seed: int = 0) -> Content:
    """Make an image of so many layers, each with so many files; the same one each time for a seed."""
    found: dict[str, bytes] = {}
    archives = [_layer(number, files, found, random.Random(f"{seed} {number}")) for number in range(layers)]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": EPOCH,
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in archives]},
        "history": [{"created": EPOCH}] * layers,
    }
    return Content(config, archives, _answer(found))


def digest(data: bytes) -> str:
    """The digest of a blob."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _answer(found: dict[str, bytes]) -> bytes:
    whole = hashlib.sha256()
    for name in sorted(found):
        whole.update(found[name])
    return f"{whole.hexdigest()}  -\n{len(found)}\n".encode()


def _layer(number: int, files: int, found: dict[str, bytes], chance: random.Random) -> bytes:
    """A layer, the lowest with busybox; its files are noted in `found`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as layer:
        if number == 0:
            _add_busybox(layer)
        for name, data in _files(number, files, chance):
            _add(layer, f"data/{name}", data)
            found["./" + name] = data
    return stream.getvalue()


def _add_busybox(layer: tarfile.TarFile) -> None:
    tar = subprocess.run([sys.executable, "-I", _BUSYBOX], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as busybox:
        for member in busybox:
            layer.addfile(member, busybox.extractfile(member) if member.isreg() else None)


def _files(number: int, files: int, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    words = [chance.randbytes(12) for _ in range(1400)]
    for file in range(files):
        yield f"{number}/{file % 100:02}/{file}", b"".join(chance.choices(words, k=SIZE // 12))


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    archive.addfile(member, io.BytesIO(data))
