"""The official CLI and docker-py against the API, with an engine in memory behind it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import docker
import docker.errors
import pytest

import errdefs
from engine.events.event import Event
from tests.unit.api.boxes import MemoryStream
from tests.unit.api.conftest import VERSION, Served
from tests.unit.api.samples import ID

CLI = shutil.which("docker")
needs_cli = pytest.mark.skipif(CLI is None, reason="needs the docker CLI")


async def cli(served: Served, *arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run the CLI."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DOCKER_HOST": f"unix://{served.path}"}
    return await asyncio.to_thread(
        subprocess.run,
        [str(CLI), *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


@needs_cli
async def test_docker_version(served: Served) -> None:
    done = await cli(served, "version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}")
    assert (done.stdout, done.returncode) == (b"29 1.55\n", 0)


@needs_cli
async def test_docker_info(served: Served) -> None:
    done = await cli(served, "info", "--format", "{{.ServerVersion}} {{.NCPU}}")
    assert (done.stdout, done.returncode) == (b"29 2\n", 0)


@needs_cli
async def test_docker_ps(served: Served) -> None:
    done = await cli(served, "ps", "--format", "{{.Names}}|{{.Image}}|{{.Command}}|{{.Ports}}")
    assert done.stdout == b"box|bb:1|\"sh -c 'echo hi'\"|9000/tcp, 0.0.0.0:8080->80/tcp, :::8080->80/tcp\n"


@needs_cli
async def test_docker_inspect(served: Served) -> None:
    done = await cli(served, "inspect", "--format", "{{.Id}} {{.NetworkSettings.IPAddress}}", "box")
    assert done.stdout == f"{ID} 172.17.0.2\n".encode()


@needs_cli
async def test_docker_events(served: Served) -> None:
    served.engine.events.stored = [
        Event(type="container", action="start", actor_id=ID, attributes={"name": "box"}, time_ns=10**18)
    ]
    done = await cli(
        served, "events", "--since", "1", "--until", "2", "--format", "{{.Action}} {{.Actor.ID}}"
    )
    assert done.stdout == f"start {ID}\n".encode()


@needs_cli
async def test_docker_images_and_networks(served: Served) -> None:
    images = await cli(served, "images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}")
    networks = await cli(served, "network", "ls", "--format", "{{.Name}} {{.Driver}}")
    assert images.stdout == b"bb:1 2.02MB\n"
    assert networks.stdout == b"bridge bridge\nhost host\nnone null\n"


@needs_cli
async def test_docker_says_what_failed(served: Served) -> None:
    done = await cli(served, "start", "nosuch")
    assert done.returncode == 1
    assert b"Error response from daemon: No such container: nosuch" in done.stderr
    served.engine.pulls.failure = errdefs.NotFound("manifest for busybox:latest not found")
    done = await cli(served, "pull", "busybox")
    assert b"Error response from daemon: manifest for busybox:latest not found" in done.stderr


@needs_cli
async def test_docker_exec_with_input(served: Served) -> None:
    stream = served.engine.execs.stream = MemoryStream()
    stream.outputs.put_nowait(b"\x01\x00\x00\x00\x00\x00\x00\x03out")
    stream.outputs.put_nowait(b"\x02\x00\x00\x00\x00\x00\x00\x03err")

    async def end_after_input() -> None:
        await stream.eof.wait()
        for process in served.engine.execs.records.values():
            process.exit_code = 7
        stream.outputs.put_nowait(b"")

    done, _ = await asyncio.gather(
        cli(served, "exec", "-i", "box", "cat", stdin=b"in" * 100_000), end_after_input()
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"out", b"err", 7)
    assert stream.received == b"in" * 100_000


@needs_cli
async def test_docker_import(served: Served) -> None:
    done = await cli(served, "import", "-", "bb:2", stdin=b"tar" * 1000)
    assert done.stdout.startswith(b"sha256:")
    assert served.engine.images.uploaded == b"tar" * 1000


def with_docker_py(served: Served, act: Callable[[Any], Any]) -> Any:
    client = docker.DockerClient(base_url=f"unix://{served.path}")
    try:
        return act(client)
    finally:
        client.close()


async def test_docker_py(served: Served) -> None:
    def act(client: Any) -> tuple[Any, ...]:
        box = client.containers.get("box")
        box.stop(timeout=3)
        try:
            client.containers.get("nosuch")
        except docker.errors.NotFound as error:
            explanation = error.explanation
        return client.api._version, box.status, box.ports["80/tcp"][0], client.ping(), explanation

    answer = await asyncio.to_thread(with_docker_py, served, act)
    place = {"HostIp": "0.0.0.0", "HostPort": "8080"}
    assert answer == ("1.55", "running", place, True, "No such container: nosuch")
    assert served.engine.containers.calls == [("stop", ID, "", 3)]


async def test_docker_py_exec(served: Served) -> None:
    """docker-py drops what arrives together with the head: the head has to go out before the process starts."""
    loop, head = asyncio.get_running_loop(), asyncio.Event()
    served.engine.execs.held = head
    stream = served.engine.execs.stream = MemoryStream()
    stream.outputs.put_nowait(b"\x01\x00\x00\x00\x00\x00\x00\x03out")
    stream.outputs.put_nowait(b"")

    def act(client: Any) -> Any:
        box = client.containers.get("box")

        def received(response: Any, **_: Any) -> None:
            if response.url.endswith("/start"):
                loop.call_soon_threadsafe(head.set)

        client.api.hooks["response"].append(received)
        return box.exec_run("echo out").output

    assert await asyncio.to_thread(with_docker_py, served, act) == b"out"


def test_the_engine_version_is_one_that_tools_can_parse() -> None:
    assert tuple(map(int, VERSION.partition("+")[0].split("."))) >= (29, 0, 0)
