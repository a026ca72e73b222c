"""The layers of the test images, made once by `make setup-test`: python -m tests.images.stored."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import product, repeat
from pathlib import Path

from tests.images import layers, roots
from tests.images.image import Image, Layer, compressed, image

_INDEX = "index.json"
_HERE = Path(__file__).parent
FOUR = ("split", "zstd", "plain")
"""The tags of four layers, compressed by gzip, by zstd and not at all. They have the same layers when unpacked."""


def images() -> dict[str, Image]:
    """By tag: `base` (Debian alone), `whole` (all in one layer, of Docker's format), and the ones of four layers."""
    found = [Layer(Path(path), **rest) for path, rest in json.loads((_place() / _INDEX).read_text())]
    by_name = {layer.path.name: layer for layer in found}
    made = {tag: image([by_name[f"{tag}.tar.gz"]], oci=False) for tag in ("base", "whole")}
    for tag, suffix in zip(FOUR, (".gz", ".zst", ""), strict=True):
        made[tag] = image(by_name[f"layer-{number}.tar{suffix}"] for number in range(layers.COUNT))
    return made


def missing() -> str:
    """Tell why they are not here, "" when they are."""
    if reason := roots.missing():
        return reason
    return "" if (_place() / _INDEX).exists() else "the layers are made by `make setup-test`"


def make() -> None:
    """Make the layers of the root filesystems, once."""
    place = _place()
    if (place / _INDEX).exists():
        return
    for former in roots.PLACE.glob("layers-*"):
        shutil.rmtree(former)
    place.mkdir()
    (place / "base.tar").symlink_to(roots.BASE)
    (place / "whole.tar").symlink_to(roots.GCC)
    tars = layers.split(roots.BASE, roots.GCC, place)
    with ThreadPoolExecutor(2) as threads:
        whole = threads.map(compressed, (place / "whole.tar", place / "base.tar"), repeat("gzip"))
        parts = threads.map(lambda each: compressed(*each), product(tars, ("gzip", "zstd", "")))
        made = [asdict(layer) for layer in (*whole, *parts)]
    (place / _INDEX).write_text(json.dumps([(str(layer.pop("path")), layer) for layer in made]))


def _place() -> Path:
    """Where they are: apart for each way to make them, and each root filesystem."""
    known = hashlib.sha256()
    for module in ("layers.py", "image.py", "stored.py"):
        known.update((_HERE / module).read_bytes())
    known.update(str(roots.GCC.stat().st_mtime_ns).encode())
    return roots.PLACE / f"layers-{known.hexdigest()[:16]}"


if __name__ == "__main__":
    make()
