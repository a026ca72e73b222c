"""aiodocker, the asyncio client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tests.integration.images.archives import Made, docker_archive

pytestmark = pytest.mark.root


def config(script: str, **more: Any) -> dict[str, Any]:
    return {"Image": "busybox", "Cmd": ["sh", "-c", script], **more}


@pytest.fixture
async def sleeper(aio: Docker) -> AsyncIterator[Any]:
    """A running container."""
    container = await aio.containers.run(config("sleep 1000", Labels={"a": "b"}), name="aio")
    yield container
    await container.delete(force=True)


async def test_the_daemon(aio: Docker) -> None:
    assert (await aio.version())["ApiVersion"] == "1.55"
    assert (await aio.system.info())["OSType"] == "linux"
    assert "bridge" in [network["Name"] for network in await aio.networks.list()]


async def test_a_life(aio: Docker) -> None:
    container = await aio.containers.create_or_replace("life", config("echo out; echo err >&2; exit 3"))
    try:
        await container.start()
        assert (await container.wait())["StatusCode"] == 3
        assert await container.log(stdout=True) == ["out\n"]
        assert await container.log(stdout=True, stderr=True, tail=1) == ["err\n"]
        assert (await container.show())["State"]["ExitCode"] == 3
        replaced = await aio.containers.create_or_replace("life", config("sleep 1000"))
        assert replaced.id != container.id
        container = replaced
        await container.start()
        await container.pause()
        await container.unpause()
        await container.restart(t=0)
        await container.rename("other")
        await container.kill()
        assert (await container.show())["State"]["Status"] == "exited"
    finally:
        await container.delete(force=True)


async def test_list_and_filters(aio: Docker, sleeper: Any) -> None:
    assert [each.id for each in await aio.containers.list(filters={"label": ["a=b"]})] == [sleeper.id]
    assert await aio.containers.list(filters={"label": ["a=c"]}) == []
    assert (await aio.containers.get("aio")).id == sleeper.id


async def test_logs_are_followed(aio: Docker) -> None:
    container = await aio.containers.run(config("for n in 1 2 3; do echo $n; sleep 0.1; done"), name="told")
    try:
        assert [line async for line in container.log(stdout=True, follow=True)] == ["1\n", "2\n", "3\n"]
    finally:
        await container.delete(force=True)


async def test_attach_with_input(aio: Docker) -> None:
    made = config("read x; echo got $x; echo err >&2", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    container = await aio.containers.create(made)
    try:
        async with container.attach(stdin=True, stdout=True, stderr=True) as stream:
            await container.start()
            await stream.write_in(b"words\n")
            messages: dict[int, bytes] = {}
            while message := await stream.read_out():
                messages[message.stream] = messages.get(message.stream, b"") + message.data
        assert messages == {1: b"got words\n", 2: b"err\n"}
    finally:
        await container.delete(force=True)


async def test_exec(aio: Docker, sleeper: Any) -> None:
    execution = await sleeper.exec(["sh", "-c", "cat; id -u; exit 5"], stdin=True, user="9")
    async with execution.start() as stream:
        await stream.write_in(b"in\n")
        first = await stream.read_out()
        assert (first.stream, first.data) == (1, b"in\n")
    detached = await sleeper.exec(["sh", "-c", "exit 5"])
    await detached.start(detach=True)
    for _ in range(200):
        if (code := (await detached.inspect())["ExitCode"]) is not None:
            break
        await asyncio.sleep(0.05)
    assert code == 5


async def test_exec_on_a_terminal(sleeper: Any) -> None:
    execution = await sleeper.exec(["sh", "-c", "read x; stty size; tty"], stdin=True, tty=True)
    async with execution.start() as stream:
        await stream.write_in(b"")  # the start goes out with the first use of the stream
        await execution.resize(h=30, w=100)
        await stream.write_in(b"\n")
        seen = b""
        while message := await stream.read_out():
            seen += message.data
    assert seen.split() == [b"30", b"100", b"/dev/pts/0"]


async def test_events(aio: Docker) -> None:
    subscriber = aio.events.subscribe()
    for _ in range(200):  # it begins to listen in a task of its own
        if (await aio.system.info())["NEventsListener"]:
            break
        await asyncio.sleep(0.1)
    container = await aio.containers.run(config("true"), name="told")
    await container.wait()
    await container.delete()
    actions: list[str] = []
    async with asyncio.timeout(20):
        while "destroy" not in actions:
            event = await subscriber.get()
            assert event is not None
            if event["Type"] == "container" and event["Actor"]["ID"] == container.id:
                actions.append(event["Action"])
    assert actions == ["create", "start", "die", "destroy"]
    await aio.events.stop()


async def test_images(aio: Docker) -> None:
    archive = docker_archive(Made(tags=["aio:1"]))
    told = [message async for message in aio.images.import_image(archive, stream=True)]
    assert any("Loaded image: aio:1" in message.get("stream", "") for message in told)
    assert "aio:1" in (await aio.images.inspect("aio:1"))["RepoTags"]
    await aio.images.tag("aio:1", "aio", tag="2")
    assert len(await aio.images.list(filters={"reference": ["aio"]})) == 1
    await aio.images.delete("aio:2")
    await aio.images.delete("aio:1")
    with pytest.raises(DockerError) as failure:
        await aio.images.inspect("aio:1")
    assert (failure.value.status, failure.value.message) == (404, "No such image: aio:1")


async def test_failures(aio: Docker, sleeper: Any) -> None:
    with pytest.raises(DockerError) as failure:
        await aio.containers.get("nosuch")
    assert (failure.value.status, failure.value.message) == (404, "No such container: nosuch")
    with pytest.raises(DockerError) as failure:
        await aio.containers.create(config("true"), name="aio")
    assert failure.value.status == 409
    with pytest.raises(DockerError) as failure:
        await sleeper.delete()
    assert failure.value.status == 409
