"""What is sent of a client's directory that was built before, and what comes of it."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from api.buildkit.protos.control_pb2 import Exporter
from tests.daemon import Wherryd
from tests.integration.build.buildkit.client import Client, connected
from tests.integration.build.buildkit.conftest import Build
from tests.waiting import eventually

pytestmark = pytest.mark.root

COPY = "FROM busybox\nCOPY . /project\n"
SHOW = """\
RUN cd /project && find . -type f ! -name Dockerfile | sort | while read f; do echo $f $(stat -c %a $f) $(cat $f); done
"""
MEET = """\
RUN --mount=type=bind,target=/c --mount=type=cache,target=/m \
touch "/m/$(cat /c/a)"; until [ -e /m/go ]; do sleep 0.05; done; cat /c/a > /told; cat /project/a
"""


@pytest.fixture
def made(project: Path) -> Path:
    """A project with some files."""
    (project / "Dockerfile").write_text(COPY)
    for name in ("a", "b", "d/c", "d/e"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(f"content of {name}")
    return project


async def sent(client: Client, project: Path) -> list[str]:
    """Build; the files of the context that were sent, beside the Dockerfile."""
    client.asked.clear()
    await client.build(project, [Exporter(Type="moby", Attrs={"name": "kept"})])
    return sorted({name for name in client.asked if name != "Dockerfile"})


@pytest.mark.parametrize("upgrade", [False, True], ids=["h2c", "upgrade"])
async def test_what_changed_alone_is_sent(wherryd: Wherryd, made: Path, upgrade: bool) -> None:
    async with connected(str(wherryd.socket), upgrade=upgrade) as client:
        client.shared_key = f"project:{upgrade}"
        assert await sent(client, made) == ["a", "b", "d/c", "d/e"]
        assert await sent(client, made) == []
        (made / "b").write_text("other")
        (made / "a").unlink()
        (made / "d/e").rename(made / "f")
        assert await sent(client, made) == ["b", "f"]
        found = wherryd.docker(
            "run", "--rm", "kept", "sh", "-c", "cd /project; find . -type f | sort; cat b f"
        )
        assert found.stdout == "./Dockerfile\n./b\n./d/c\n./f\nothercontent of d/e"
        client.shared_key = ""
        assert await sent(client, made) == ["b", "d/c", "f"]


async def test_two_at_once_do_not_disturb_each_other(wherryd: Wherryd, made: Path) -> None:
    (made / "Dockerfile").write_text(COPY + MEET)
    socket, caches = str(wherryd.socket), wherryd.data_root / "build/cache"
    async with connected(socket, upgrade=True) as one, connected(socket, upgrade=True) as two:
        one.shared_key = two.shared_key = "both"
        async with asyncio.TaskGroup() as group:
            group.create_task(one.build(made, [Exporter(Type="moby", Attrs={"name": "one"})]))
            await asyncio.to_thread(eventually, lambda: [*caches.glob("*/content of a")])
            (made / "a").write_text("changed meanwhile")
            group.create_task(two.build(made, [Exporter(Type="moby", Attrs={"name": "two"})]))
            await asyncio.to_thread(eventually, lambda: [*caches.glob("*/changed meanwhile")])
            (here,) = caches.glob("*/changed meanwhile")
            here.with_name("go").touch()
    told = [
        wherryd.docker("run", "--rm", name, "cat", "/told", "/project/a").stdout for name in ("one", "two")
    ]
    assert told == ["content of acontent of a", "changed meanwhilechanged meanwhile"]


def shown(build: Build) -> list[str]:
    """The files that a step of a build sees."""
    done = build(COPY + SHOW)
    return [line.split(maxsplit=2)[2] for line in done.stderr.splitlines() if " ./" in line]


def test_buildx_sees_every_change(build: Build, made: Path) -> None:
    whole = [
        "./a 644 content of a",
        "./b 644 content of b",
        "./d/c 644 content of d/c",
        "./d/e 644 content of d/e",
    ]
    assert shown(build) == whole
    (made / "a").chmod(0o750)
    (made / "b").unlink()
    (made / "b").mkdir()
    (made / "b/new").write_text("new")
    (made / "d/c").unlink()
    (made / "d/e").rename(made / "d/f")
    (made / "link").symlink_to("/project/a")
    assert shown(build) == ["./a 750 content of a", "./b/new 644 new", "./d/f 644 content of d/e"]
    (made / ".dockerignore").write_text("d\n")
    assert shown(build) == ["./.dockerignore 644 d", "./a 750 content of a", "./b/new 644 new"]


def test_times_alone_do_not_make_a_step_anew(build: Build, made: Path) -> None:
    build(COPY)
    assert "CACHED" in build(COPY).stderr
    for name in ("a", "b"):
        os.utime(made / name, (1, 1))
    assert "CACHED" in build(COPY).stderr


def usage(wherryd: Wherryd) -> list[str]:
    """What is told of kept contexts."""
    told = wherryd.get("/v1.45/system/df?type=build-cache").json
    return [each["Description"] for each in told["BuildCache"] if each["Type"] == "source.local"]


def test_a_kept_context_is_counted_and_pruned(wherryd: Wherryd, build: Build, made: Path) -> None:
    (made / "large").write_bytes(os.urandom(1 << 20))
    build(COPY)
    assert usage(wherryd) == ["local source for context"]
    shown = wherryd.docker("buildx", "du", "--verbose", "--filter", "type=source.local").stdout
    assert "Type:\t\tsource.local" in shown
    assert "Mutable:\ttrue" in shown
    assert "Size:\t\t1.049MB" in shown
    caches = wherryd.data_root / "build/cache"
    assert len([each for each in caches.iterdir() if not each.is_symlink()]) == 1  # beside its mark
    assert caches.stat().st_mode & 0o777 == 0o700
    pruned = wherryd.docker("builder", "prune", "--force", "--filter", "type=source.local").stdout
    assert "1.049MB" in pruned
    assert usage(wherryd) == []
    assert list(caches.iterdir()) == []
    assert "CACHED" in build(COPY).stderr


def test_what_a_client_breaks_off_is_not_kept(wherryd: Wherryd, made: Path) -> None:
    with (made / "large").open("wb") as file:
        file.truncate(1 << 31)
    command = ["docker", "-H", f"unix://{wherryd.socket}", "build", str(made)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        caches = wherryd.data_root / "build/cache"
        eventually(lambda: any(path.stat().st_size > 1 << 20 for path in caches.glob("*/large")))
    finally:
        running.kill()
        running.communicate()
    eventually(lambda: not list(caches.iterdir()))
    assert usage(wherryd) == []
