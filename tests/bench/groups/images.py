"""Load, save, commit and removal of an image of 85 MB in 5,000 files."""

import gzip
import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path

from tests.bench import archive
from tests.bench.archive import Content
from tests.bench.client import Client, Connection, body_of, demultiplexed, expect
from tests.bench.contest import Contest

COMMITTED = "bench/committed"


def measure(contest: Contest) -> None:
    """One after the other; nobody pays for what the other one wrote."""
    content = archive.make()
    path = contest.scratch / "image.tar"
    content.write(path)
    files = contest.scratch / "files"
    with tarfile.open(fileobj=io.BytesIO(content.layers[0])) as layer:
        layer.extractall(files, [each for each in layer if each.name.startswith("data/")], filter="data")
    for turn in contest.turns(0.15, warm_up=False):
        for contender in turn:
            client = contender.client
            os.sync()
            turn.note("load", contender, _load(client, content, path))
            turn.note("save", contender, _save(client, content))
            os.sync()
            turn.note("rmi", contender, removed(client, archive.NAME))
            os.sync()
            turn.note("commit", contender, _commit(client, content, files))
    path.unlink()
    shutil.rmtree(files)


def require_whole(client: Client, image: str, content: Content) -> None:
    """Run a container that looks at the files of an image. Errors: WrongSample when they are not the content's."""
    container = client.create(*archive.LOOK, Image=image)
    client.start(container)
    client.raw("POST", f"containers/{container}/wait")
    said = demultiplexed(client.raw("GET", f"containers/{container}/logs?stdout=1&stderr=1"))
    client.remove(container)
    expect(said == content.answer, f"the files of {image} are others: {said!r}")


def load(client: Client, path: Path) -> float:
    """Load an archive: the seconds until the daemon has said all."""
    with path.open("rb") as stream, Connection(client.path) as connection:
        began = time.perf_counter()
        connection.send("POST", "images/load?quiet=1", stream)
        status, headers = connection.head()
        data = connection.body(headers)
        took = time.perf_counter() - began
    expect(status == 200 and b"error" not in data, f"{status} {data!r}")
    return took


def removed(client: Client, image: str) -> float:
    """Remove an image: the seconds that it took."""
    began = time.perf_counter()
    deleted = client.call("DELETE", f"images/{image}")
    took = time.perf_counter() - began
    expect(any("Deleted" in each for each in deleted), f"only {deleted} was removed")
    return took


def _load(client: Client, content: Content, path: Path) -> float:
    took = load(client, path)
    found = client.call("GET", f"images/{archive.NAME}/json")
    expect(found["RootFS"]["Layers"] == content.diff_ids, f"{found}")
    expect(found["Id"] == content.image, f"{found['Id']}, not {content.image}")
    require_whole(client, archive.NAME, content)
    return took


def _save(client: Client, content: Content) -> float:
    """The seconds until the client has all; the layer in it must be the one that was loaded."""
    began = time.perf_counter()
    pieces = client.fetch(f"images/{archive.NAME}/get")
    took = time.perf_counter() - began
    with tarfile.open(fileobj=io.BytesIO(body_of(pieces))) as saved:
        (entry,) = json.loads(_member(saved, "manifest.json"))
        layer = _member(saved, entry["Layers"][0])
    layer = gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer
    expect([archive.digest(layer)] == content.diff_ids, "the layer that was saved is another one")
    return took


def _commit(client: Client, content: Content, files: Path) -> float:
    """The seconds that the commit of a container takes which copied all the files."""
    container = client.create("cp", "-r", "/files/data", "/", host={"Binds": [f"{files}:/files"]})
    client.start(container)
    client.raw("POST", f"containers/{container}/wait")
    os.sync()
    began = time.perf_counter()
    client.call("POST", f"commit?container={container}&repo={COMMITTED}", {})
    took = time.perf_counter() - began
    client.remove(container)
    require_whole(client, COMMITTED, content)
    removed(client, COMMITTED)
    return took


def _member(saved: tarfile.TarFile, name: str) -> bytes:
    member = saved.extractfile(name)
    assert member is not None
    return member.read()
