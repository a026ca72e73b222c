"""Images loaded, named, used, committed, saved and removed all at once, with and without `kill -9` in between."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from urllib.parse import quote

import pytest

from tests.crash.image_store import stored
from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar
from tests.unix_http import Response

pytestmark = pytest.mark.root

LOW = tar({"low": random.Random(3).randbytes(200_000)})
MADE = [
    Made(
        layers=[LOW, *(tar({f"own{depth}": bytes([number]) * 9000}) for depth in range(number))],
        tags=[f"storm:{number}"],
    )
    for number in range(3)
]
ARCHIVES = [docker_archive(made) for made in MADE]
WORKERS = 6
FINE = {200, 201, 204, 404, 409}
"""Done, or told that what was meant has gone, or is in use."""


class Worker:
    """Does one thing after the other, at random; what was answered that should not be is in `wrong`."""

    def __init__(self, mortal: Wherryd, seed: int, wrong: list[str]) -> None:
        self._mortal = mortal
        self._dice = random.Random(seed)
        self._wrong = wrong
        self._own = f"storm-{seed}"

    def run(self, over: Callable[[], bool]) -> None:
        """Go on until it is over, or the daemon is gone."""
        verbs = (
            [self._load] * 4 + [self._contain] * 4 + [self._remove] * 2 + [self._tag, self._save, self._prune]
        )
        while not over():
            try:
                self._dice.choice(verbs)()
            except (OSError, HTTPException):
                return

    def _call(self, method: str, path: str, body: bytes | None = None) -> Response:
        headers = {"Content-Type": "application/json"} if body and body.startswith(b"{") else None
        answer = self._mortal.call(method, path, body, headers=headers)
        if answer.status not in FINE:
            self._wrong.append(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer

    def _name(self) -> str:
        return self._dice.choice(
            ["storm:0", "storm:1", "storm:2", self._own, MADE[self._dice.randrange(3)].id]
        )

    def _load(self) -> None:
        answer = self._call("POST", "/images/load?quiet=1", ARCHIVES[self._dice.randrange(3)])
        if b"error" in answer.body:
            self._wrong.append(f"load: {answer.body!r}")

    def _tag(self) -> None:
        self._call("POST", f"/images/{self._name()}/tag?repo={self._own}")

    def _remove(self) -> None:
        options = self._dice.choice(["", "", "?force=1", "?noprune=1"])
        self._call("DELETE", f"/images/{self._name()}{options}")

    def _contain(self) -> None:
        body = json.dumps(
            {"Image": self._name(), "Cmd": ["x"], "HostConfig": {"NetworkMode": "none"}}
        ).encode()
        answer = self._call("POST", "/containers/create", body)
        if answer.status == 201:
            container = answer.json["Id"]
            if self._dice.random() < 0.5:
                self._call("POST", f"/commit?container={container}&repo={self._own}")
            self._call("DELETE", f"/containers/{container}")

    def _save(self) -> None:
        self._call("GET", f"/images/{self._name()}/get")
        self._call("GET", "/system/df")

    def _prune(self) -> None:
        dangling = self._dice.choice(["true", "true", "false"])
        self._call("POST", "/images/prune?filters=" + quote(json.dumps({"dangling": [dangling]})))


@pytest.fixture
def stormy(mortal: Wherryd) -> Iterator[Wherryd]:
    """A daemon whose busybox is in use; in the end all that is not busybox can be removed, and nothing is left."""
    before = stored(mortal)
    mortal.docker("create", "--name", "keeps", "busybox")
    yield mortal
    others = [each["Id"] for each in mortal.get("/containers/json?all=1").json if each["Names"] != ["/keeps"]]
    if others:
        mortal.docker("rm", "-f", *others)
    for image in mortal.get("/images/json").json:
        if image["RepoTags"] != ["busybox:latest"]:
            mortal.call("DELETE", f"/images/{image['Id']}?force=1")
    assert [image["RepoTags"] for image in mortal.get("/images/json?all=1").json] == [["busybox:latest"]]
    mortal.docker("rm", "keeps")
    assert stored(mortal) == before
    mortal.restart()
    assert stored(mortal) == before


def storm(mortal: Wherryd, seconds: float, seed: int, end: Callable[[], None]) -> list[str]:
    """Let workers go on for some seconds, then do `end`; what was answered that should not be."""
    wrong: list[str] = []
    over = threading.Event()
    workers = [
        threading.Thread(target=Worker(mortal, seed * 100 + number, wrong).run, args=(over.is_set,))
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    time.sleep(seconds)
    end()
    over.set()
    for worker in workers:
        worker.join(60)
    return wrong


def whole(mortal: Wherryd) -> None:
    """What there is of images can be used: each is saved, and a container is made of it."""
    for image in mortal.get("/images/json?all=1").json:
        assert mortal.get(f"/images/{image['Id']}/get").status == 200
        body = {"Image": image["Id"], "Cmd": ["x"], "HostConfig": {"NetworkMode": "none"}}
        made = mortal.call("POST", "/containers/create", body)
        assert made.status == 201, made.body
        assert mortal.get(f"/containers/{made.json['Id']}/export").status == 200
        assert mortal.call("DELETE", f"/containers/{made.json['Id']}").status == 204


def test_all_at_once(stormy: Wherryd) -> None:
    wrong = storm(stormy, 12, seed=1, end=lambda: None)
    assert not wrong, "\n".join(wrong[:10])
    whole(stormy)


def test_killed_in_the_middle(stormy: Wherryd) -> None:
    for seed in range(2, 6):
        wrong = storm(stormy, 1 + seed / 2, seed, end=stormy.kill9)
        stormy.start()
        assert not wrong, "\n".join(wrong[:10])
        assert "has lost" not in stormy.log_tail()
        whole(stormy)
