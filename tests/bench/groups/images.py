"""Load and save of an image of 85 MB in 5,000 files."""

import gzip
import io
import json
import os
import tarfile
import time

from tests.bench import archive
from tests.bench.client import Client, Connection, body_of, expect
from tests.bench.contest import Contest


def measure(contest: Contest) -> None:
    """Load it, save it, remove it; nobody pays for what the other one wrote."""
    image = archive.write(contest.scratch / "image.tar")
    for turn in contest.turns(0.15, warm_up=False):
        for contender in turn:
            os.sync()
            turn.note("load", contender, _load(contender.client, image))
            turn.note("save", contender, _save(contender.client, image))
            contender.client.raw("DELETE", f"images/{archive.NAME}")
    image.path.unlink()


def _load(client: Client, image: archive.Archive) -> float:
    """The seconds until the daemon has said all."""
    with image.path.open("rb") as stream, Connection(client.path) as connection:
        began = time.perf_counter()
        connection.send("POST", "images/load?quiet=1", stream)
        status, headers = connection.head()
        data = connection.body(headers)
        took = time.perf_counter() - began
    expect(status == 200 and b"error" not in data, f"{status} {data!r}")
    found = client.call("GET", f"images/{archive.NAME}/json")
    expect(found["RootFS"]["Layers"] == [image.layer], f"{found}")
    expect(found["Id"] == image.image, f"{found['Id']}, not {image.image}")
    return took


def _save(client: Client, image: archive.Archive) -> float:
    """The seconds until the client has all; the layer in it must be the one that was loaded."""
    began = time.perf_counter()
    pieces = client.fetch(f"images/{archive.NAME}/get")
    took = time.perf_counter() - began
    with tarfile.open(fileobj=io.BytesIO(body_of(pieces))) as saved:
        (entry,) = json.loads(_member(saved, "manifest.json"))
        layer = _member(saved, entry["Layers"][0])
    layer = gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer
    expect(archive.digest(layer) == image.layer, "the layer that was saved is another one")
    return took


def _member(saved: tarfile.TarFile, name: str) -> bytes:
    member = saved.extractfile(name)
    assert member is not None
    return member.read()
