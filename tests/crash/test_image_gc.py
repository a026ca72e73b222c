"""Images that make room by themselves: what goes, what stays, what is told, and `kill -9` in between."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.images import collector, remove
from tests.crash.image_store import stored
from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar
from tests.waiting import eventually

pytestmark = pytest.mark.root

EMPTY_IT: dict[str, Any] = {"high-watermark": 1, "low-watermark": 0, "min-age": "0s"}
"""Whatever the disk is like, it is too full."""
MADE = [
    Made(layers=[tar({"of": name.encode()})], tags=[name], said={"config": {"Labels": labels}})
    for name, labels in (
        ("gc-idle:1", {}),
        ("gc-used:1", {}),
        ("gc-kept:1", {}),
        ("gc-pinned:1", {"pin": "1"}),
    )
]
KEEP = ["label=pin", "gc-kept", "busybox"]


def names(mortal: Wherryd) -> set[str]:
    return {tag for image in mortal.get("/images/json").json for tag in image["RepoTags"]}


@pytest.fixture
def full(mortal: Wherryd) -> Iterator[Wherryd]:
    """A daemon with images; afterwards it has busybox alone and removes nothing by itself."""
    before = stored(mortal)
    for made in MADE:
        mortal.docker("load", stdin=docker_archive(made))
    mortal.docker("tag", "gc-idle:1", "gc-idle:2")
    mortal.docker("create", "--name", "uses", "gc-used:1", "x")
    yield mortal
    configure(mortal, {})
    mortal.docker("rm", "uses")
    mortal.docker("rmi", *(names(mortal) - {"busybox:latest"}))
    eventually(lambda: stored(mortal) == before)  # what was made room of is forgotten before its files go


def configure(mortal: Wherryd, settings: dict[str, Any]) -> None:
    """Change what the running daemon goes by."""
    mortal.config_file.write_text(json.dumps(settings))
    mortal._process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]


def test_nothing_goes_unless_it_is_asked_for(full: Wherryd) -> None:
    configure(full, {"debug": True})
    eventually(lambda: "configuration reloaded; changed: debug" in full.log_tail())
    assert len(names(full)) == 6


def actions(mortal: Wherryd, since: int, image: str) -> list[str]:
    """What was told of an image, in order."""
    events = map(json.loads, mortal.get(f"/events?since={since}&until={int(time.time())}").body.splitlines())
    return [event["Action"] for event in events if event["Actor"]["ID"] == image]


def test_what_goes_and_what_is_told(full: Wherryd) -> None:
    """By SIGHUP, at once; afterwards whenever an image came."""
    began = int(time.time())
    idle = full.get("/images/gc-idle:1/json").json["Id"]
    configure(full, {"image-gc": {**EMPTY_IT, "keep": KEEP}})
    eventually(lambda: len(names(full)) == 4)
    assert names(full) == {"gc-used:1", "gc-kept:1", "gc-pinned:1", "busybox:latest"}
    eventually(lambda: actions(full, began, idle)[-3:] == ["untag", "untag", "delete"])
    removed = "removed the image gc-idle:1, gc-idle:2, which nobody has used since 20"
    eventually(lambda: removed in full.log_tail())
    full.docker("load", stdin=docker_archive(MADE[0]))
    eventually(lambda: "gc-idle:1" not in names(full))


def test_what_was_of_use_lately_stays(full: Wherryd) -> None:
    configure(full, {"image-gc": {**EMPTY_IT, "min-age": "1h"}})
    eventually(lambda: "and no image may be removed" in full.log_tail())
    assert len(names(full)) == 6


@pytest.fixture
def dies(full: Wherryd) -> Callable[[str], None]:
    """Let the daemon make room and die at a point of that, and start it as usual."""

    def run(point: str) -> None:
        full.dies_at(point)
        configure(full, {"image-gc": {**EMPTY_IT, "keep": KEEP}})
        eventually(lambda: not full.alive)
        full.config_file.write_text("{}")
        full.start()

    return run


@pytest.mark.parametrize(
    "point",
    [*(f"gc.{step}" for step in collector.STEPS), *(f"rmi.{step}" for step in ("untag", *remove.STEPS))],
)
def test_killed(full: Wherryd, dies: Callable[[str], None], point: str) -> None:
    """An image is whole or absent: what is left of one that was to go still runs."""
    dies(point)
    there = {name for name in names(full) if name.startswith("gc-idle")}
    assert names(full) - there == {"gc-used:1", "gc-kept:1", "gc-pinned:1", "busybox:latest"}
    assert bool(there) == (point in ("gc.collected", "rmi.untag"))
    for name in there:
        assert full.docker("save", name).stdout
