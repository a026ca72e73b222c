"""Removals of names and images step by step: what goes, what is refused and what is told, as by a real dockerd."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.comparison import differences, require
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

BASE = Made(layers=[tar({"low": b"low"}), tar({"high": b"high"})], tags=["rm-base:1"])
TAGS = ("rm-base:2", "127.0.0.1:5/rm-base:1")
JSON = {"Content-Type": "application/json"}

SCRIPTS = {
    "names of one image": """
        rm-base:1
        rm-base:1
        BASE
        BASE?force=1
        BASE
    """,
    "the last name": "rm-base:2 127.0.0.1:5/rm-base:1 rm-base rm-base:1",
    "two tags of one repository": "127.0.0.1:5/rm-base:1 BASE BASE?force=0 rm-base:2 BASE",
    "one tag by the beginning of an id": "rm-base:2 127.0.0.1:5/rm-base:1 SHORT",
    "an unnamed one by its id": "commit:rm-child:1 rm-base:1 rm-base:2 127.0.0.1:5/rm-base:1 CHILD BASE",
    "a parent": "commit:rm-child:1 BASE BASE?force=1 rm-base:1 rm-base:2 127.0.0.1:5/rm-base:1 BASE?force=1 rm-child:1",
    "a chain": """
        commit:rm-child:1 commit:rm-grand:1 rm-child:1 rm-base:1?force=1 rm-base:2 127.0.0.1:5/rm-base:1
        rm-grand:1
    """,
    "a chain whose middle has a name": """
        commit:rm-child:1 commit:rm-grand:1 rm-base:1 rm-base:2 127.0.0.1:5/rm-base:1 rm-grand:1 rm-child:1
    """,
    "a chain without pruning": """
        commit:rm-child:1 commit:rm-grand:1 rm-child:1 rm-base:1 rm-base:2 127.0.0.1:5/rm-base:1
        rm-grand:1?noprune=1 CHILD?noprune=true BASE
    """,
    "a chain of which the middle is used": """
        commit:rm-child:1 commit:rm-grand:1 create:rm-child:1 rm-child:1?force=1 rm-grand:1 gone BASE?force=1
    """,
    "used by a container that never ran": """
        create:rm-base:1 rm-base:2 127.0.0.1:5/rm-base:1 rm-base:1 BASE SHORT rm-base:1?force=true
    """,
    "used, and forced by id": "create:rm-base:1 BASE BASE?force=1 gone",
    "used, with other names": "create:rm-base:1 rm-base:1 rm-base:2 127.0.0.1:5/rm-base:1 gone 127.0.0.1:5/rm-base:1",
    "used by one that runs": """
        run:busybox tag:rm-busy busybox:latest rm-busy rm-busy?force=1 BUSYBOX BUSYBOX?force=1
    """,
    "two containers": "create:rm-base:1 create:rm-base:2 rm-base:1 BASE?force=1 gone",
    "a tag that moves away": "commit:rm-base:1 BASE rm-base:1 rm-base:2 127.0.0.1:5/rm-base:1",
}


class Sides:
    """Both daemons, doing the same."""

    def __init__(self, both: Both) -> None:
        self._both = both
        busybox = self._id("busybox")
        self.ids: dict[str, tuple[str, str]] = {
            "BASE": (BASE.id, BASE.id),
            "SHORT": (BASE.id[7:19],) * 2,
            "BUSYBOX": busybox,
        }
        self._top = "rm-base:1"
        self._containers = 0

    def _id(self, name: str) -> tuple[str, str]:
        ours, theirs = (
            call(side.socket, "GET", f"/v1.45/images/{name}/json").json["Id"]
            for side in (self._both.wherryd, self._both.peer)
        )
        return ours, theirs

    def step(self, word: str) -> list[str]:
        """Do what a word of a script says; the differences."""
        verb, _, what = word.partition(":")
        match verb:
            case "commit":
                return self._commit(what)
            case "create":
                return self._create(what)
            case "run":
                return self._create(what, cmd=["sleep", "600"]) + self._ask(
                    "POST", f"/containers/rm-{self._containers}/start"
                )
            case "tag":
                return self._ask("POST", f"/images/busybox/tag?repo={what}")
            case "gone":
                return [line for _ in range(self._containers) for line in self._gone()]
        return self._ask("DELETE", f"/images/{word}")

    def _ask(self, method: str, path: str, body: Any = None) -> list[str]:
        headers = JSON if body is not None else None
        return differences(self._both, method, path, body, headers=headers, ids=self.ids)

    def _create(self, image: str, cmd: list[str] | None = None) -> list[str]:
        self._containers += 1
        body = {"Image": image, "Cmd": cmd or ["x"], "HostConfig": {"NetworkMode": "none"}}
        answers = self._both(
            "POST", f"/containers/create?name=rm-{self._containers}", json.dumps(body).encode(), headers=JSON
        )
        assert [answer.status for answer in answers] == [201, 201]
        return []

    def _gone(self) -> list[str]:
        answers = self._both("DELETE", f"/containers/rm-{self._containers}?force=1")
        assert [answer.status for answer in answers] == [204, 204]
        self._containers -= 1
        return []

    def _commit(self, name: str) -> list[str]:
        """An image of an image, by way of a container that is gone at once."""
        self._create(self._top)
        repo, _, tag = name.partition(":")
        answers = self._both("POST", f"/commit?container=rm-{self._containers}&repo={repo}&tag={tag}")
        assert [answer.status for answer in answers] == [201, 201]
        self._gone()
        self._top = name
        self.ids.setdefault("CHILD", self._id(name))
        return []

    def names(self) -> list[list[list[str]]]:
        """The names of all images, of both."""
        return [
            sorted(
                each["RepoTags"] or [] for each in call(side.socket, "GET", "/v1.45/images/json?all=1").json
            )
            for side in (self._both.wherryd, self._both.peer)
        ]

    def clean(self) -> None:
        """Busybox alone is left."""
        self._both("POST", "/images/BUSYBOX/tag?repo=busybox", ids=self.ids)
        while self._containers:
            self._gone()
        for side in (self._both.wherryd, self._both.peer):
            for _ in range(4):
                for each in call(side.socket, "GET", "/v1.45/images/json?all=1").json:
                    if "busybox:latest" not in (each["RepoTags"] or []):
                        call(side.socket, "DELETE", f"/v1.45/images/{each['Id']}?force=1")
            call(side.socket, "DELETE", "/v1.45/images/rm-busy")


@pytest.fixture
def sides(both: Both) -> Iterator[Sides]:
    both("POST", "/images/load?quiet=1", docker_archive(BASE))
    for name in TAGS:
        repo, _, tag = name.rpartition(":")
        both("POST", f"/images/rm-base:1/tag?repo={repo}&tag={tag}")
    made = Sides(both)
    yield made
    made.clean()


@pytest.mark.parametrize("script", SCRIPTS)
def test_script(sides: Sides, script: str) -> None:
    for number, word in enumerate(SCRIPTS[script].split()):
        found = sides.step(word)
        if found:
            require([f"step {number}, {word}:", *found])
        ours, theirs = sides.names()
        assert ours == theirs, f"after step {number}, {word}"
