"""One name wanted by many: of containers, of volumes and of images that containers are being made of meanwhile."""

import asyncio
from collections import Counter

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import SLEEP, Crowd

pytestmark = pytest.mark.root

MANY = 50


async def test_renames_to_one_name(crowd: Crowd) -> None:
    """Round after round one of them gets it, and gives it up for the next."""
    names = [f"racer{number}" for number in range(MANY)]
    ids = [await crowd.create(name) for name in names]
    for _ in range(3):
        calls = [("POST", f"containers/{each}/rename?name=won") for each in ids]
        assert await crowd.statuses(calls) == {204: 1, 409: MANY - 1}
        taken = Counter(name for each in await crowd.list() for name in each["Names"])
        assert taken["/won"] == 1
        assert len(taken) == MANY
        await crowd.done("POST", "containers/won/rename?name=past")
        await crowd.remove(["past"])
        ids = [each["Id"] for each in await crowd.list()]
        ids.append(await crowd.create())
    await crowd.remove(ids)


async def test_names_that_change_hands_in_a_ring(crowd: Crowd) -> None:
    """Each wants the next one's name, all at once: no name is ever had by two, and none is lost."""
    ids = [await crowd.create(f"ring{number}") for number in range(20)]
    for step in range(1, 6):
        calls = [
            ("POST", f"containers/{each}/rename?name=ring{number + step}") for number, each in enumerate(ids)
        ]
        answers = await crowd.all(calls)
        assert {answer.status for answer in answers} <= {204, 400, 409}
        names = [name for each in await crowd.list() for name in each["Names"]]
        assert len(set(names)) == len(names) == 20
    await crowd.remove(ids)


async def test_a_volume_made_used_and_removed_at_once(wherryd: Wherryd, crowd: Crowd) -> None:
    """It is there as long as a container has it; whoever got it can write to it."""
    binds = {"NetworkMode": "none", "Binds": ["contended:/v"]}
    body = SLEEP | {"HostConfig": binds, "Cmd": ["sh", "-c", "echo x >> /v/x"]}
    calls = [
        ("POST", "volumes/create", {"Name": "contended"}),
        ("DELETE", "volumes/contended"),
        ("POST", "containers/create", body),
    ]
    made = []
    for answer in await crowd.all(calls * MANY):
        assert answer.status in (201, 204, 404, 409), answer
        if answer.status == 201 and "Id" in answer.json:
            made.append(answer.json["Id"])
    assert len(made) == MANY
    assert await crowd.statuses(("POST", f"containers/{each}/start") for each in made[:20]) == {204: 20}
    for each in made[:20]:
        assert (await crowd.done("POST", f"containers/{each}/wait"))["StatusCode"] == 0
    assert (await crowd.call("DELETE", "volumes/contended")).status == 409
    # The removals of its users, and of it: the volume goes last.
    answers = await asyncio.gather(
        crowd.statuses(("DELETE", f"containers/{each}?force=1&v=1") for each in made),
        crowd.statuses([("DELETE", "volumes/contended")] * MANY),
    )
    assert answers[0] == {204: MANY}
    await crowd.call("DELETE", "volumes/contended")
    assert (await crowd.done("GET", "volumes"))["Volumes"] in (None, [])


async def test_an_image_tagged_removed_and_used_at_once(wherryd: Wherryd, crowd: Crowd) -> None:
    """A container that was made has its image until it is removed; what lost says so; nothing stays in the end."""
    fresh = await crowd.create("origin")
    await crowd.done("POST", "commit?container=origin&repo=fought&tag=0&comment=x", {})
    saved = (await crowd.call("GET", "images/fought:0/get")).body
    body = SLEEP | {"Image": "fought:0", "Cmd": ["true"]}
    calls = [
        ("POST", "containers/create", body),
        ("DELETE", "images/fought:0"),
        ("POST", "images/busybox/tag?repo=fought&tag=1"),
        ("DELETE", "images/fought:1"),
        ("POST", "images/prune"),
    ]
    loads = asyncio.gather(*(crowd.call("POST", "images/load", data=saved) for _ in range(10)))
    answers, loaded = await asyncio.gather(crowd.all(calls * 20), loads)
    made = []
    for answer in answers:
        assert answer.status in (200, 201, 404, 409), answer
        if answer.status == 201 and answer.body:
            made.append(answer.json["Id"])
    for answer in loaded:
        assert answer.status == 200
        assert b"errorDetail" not in answer.body, answer.body
    assert {(await crowd.call("POST", f"containers/{each}/start")).status for each in made} <= {204}
    await crowd.remove([fresh, *made])
    for tag in ("0", "1"):
        await crowd.call("DELETE", f"images/fought:{tag}?force=1")
    assert [each["RepoTags"] for each in await crowd.done("GET", "images/json?all=1")] == [["busybox:latest"]]
    assert wherryd.docker("run", "--rm", "busybox", "echo", "whole").stdout == "whole\n"
