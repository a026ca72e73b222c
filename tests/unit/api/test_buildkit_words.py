"""BuildKit's words: what clients ask of builds, and how progress, failures and results are told. Pure."""

import asyncio
import base64
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

import errdefs
from api.buildkit import failures, request
from api.buildkit.products import Product, Products, graph
from api.buildkit.progress import Progress
from api.buildkit.protos.common_pb2 import Definition, Op, SourceOp, Status
from api.buildkit.protos.control_pb2 import CacheOptions, CacheOptionsEntry, Exporter, SolveRequest
from api.buildkit.sessions import Sessions
from api.grpc.status import Code
from engine.build.progress import Finding, Log, VertexState
from engine.build.request import BuildRequest, Target
from engine.build.results import BuildError, Result
from engine.build.source import DockerfileError, Position, SourceFile
from engine.containers.config import Ulimit

ROOT = Path(__file__).resolve().parents[3]
SOURCE = SourceFile("Dockerfile", b"FROM x\nRUN false\n")


def asked(options: dict[str, str] | None = None, **solve: Any) -> BuildRequest:
    return request.of_solve(SolveRequest(Ref="r", **solve), options or {}, {})


def test_options_of_the_frontend() -> None:
    found = asked(
        {
            "filename": "sub/Dockerfile",
            "target": "t",
            "build-arg:A": "1",
            "build-arg:B": "",
            "label:l": "v",
            "platform": "linux/amd64,linux/arm64",
            "context:base": "docker-image://alpine",
            "no-cache": "",
            "image-resolve-mode": "pull",
            "force-network-mode": "none",
            "add-hosts": 'a=1.2.3.4,"b=::1"',
            "shm-size": "1024",
            "memory": "4096",
            "memswap": "-1",
            "ulimit": "nofile=10:20,core=0",
            "hostname": "h",
        }
    )
    assert (found.filename, found.target) == ("sub/Dockerfile", "t")
    assert found.arguments == {"A": "1", "B": "", "BUILDKIT_SANDBOX_HOSTNAME": "h"}
    assert found.labels == {"l": "v"}
    assert found.platforms == ["linux/amd64", "linux/arm64"]
    assert found.contexts == {"base": "docker-image://alpine"}
    assert found.no_cache_stages == []
    assert found.pull
    assert found.network == "none"
    assert found.extra_hosts == ["a:1.2.3.4", "b:::1"]
    assert (found.limits.shm_size, found.limits.memory, found.limits.memory_swap) == (1024, 4096, -1)
    assert found.limits.ulimits == [
        Ulimit(name="nofile", soft=10, hard=20),
        Ulimit(name="core", soft=0, hard=0),
    ]


def test_what_is_not_asked_for() -> None:
    found = asked()
    assert (found.filename, found.no_cache_stages, found.pull, found.network) == (
        "Dockerfile",
        None,
        False,
        "default",
    )
    assert asked({"no-cache": "a,b"}).no_cache_stages == ["a", "b"]
    assert not asked().host_network
    assert asked(Entitlements=["network.host"]).host_network


@pytest.mark.parametrize(
    "options",
    [
        {"image-resolve-mode": "x"},
        {"force-network-mode": "container:x"},
        {"add-hosts": "a"},
        {"ulimit": "nofile"},
        {"ulimit": "nofile=x"},
        {"shm-size": "1g"},
        {"memory": "-5"},
        {"memory": str(2**63)},
        {"cache-imports": "{"},
        {"cache-imports": "{}"},
        {"cache-imports": "[1]"},
    ],
)
def test_refuses_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        asked(options)


def test_exporters_and_caches_as_new_and_old_clients_say_them() -> None:
    new = asked(
        {"cache-imports": '[{"Type": "registry", "Attrs": {"ref": "a"}}]', "cache-from": "b"},
        Exporters=[Exporter(Type="moby", Attrs={"name": "x"}), Exporter(Type="local")],
        ExporterDeprecated="moby",
        Cache=CacheOptions(
            Imports=[CacheOptionsEntry(Type="registry", Attrs={"ref": "a"})],
            Exports=[CacheOptionsEntry(Type="inline")],
        ),
    )
    assert new.exporters == [
        Target(kind="moby", attributes={"name": "x"}, id="0"),
        Target(kind="local", id="1"),
    ]
    assert [target.attributes["ref"] for target in new.cache_from] == ["a", "b"]
    assert [target.kind for target in new.cache_to] == ["inline"]
    old = asked(
        ExporterDeprecated="image",
        ExporterAttrsDeprecated={"name": "y"},
        Cache=CacheOptions(ExportRefDeprecated="c", ImportRefsDeprecated=["d"]),
    )
    assert old.exporters == [Target(kind="image", attributes={"name": "y"}, id="0")]
    assert old.cache_to == [Target(kind="registry", attributes={"ref": "c"})]
    assert old.cache_from == [Target(kind="registry", attributes={"ref": "d"})]


@pytest.mark.parametrize(
    ("frontend", "source"),
    [
        ("", ""),
        ("dockerfile.v0", ""),
        ("gateway.v0", "docker/dockerfile:1"),
        ("gateway.v0", "docker/dockerfile"),
    ],
)
def test_reads_dockerfiles_itself(frontend: str, source: str) -> None:
    request.require_frontend(frontend, {"source": source})


@pytest.mark.parametrize(
    ("frontend", "source"),
    [("gateway.v0", "evil/dockerfile:1"), ("gateway.v0", "nginx"), ("buildpacks.v1", "")],
)
def test_refuses_other_languages(frontend: str, source: str) -> None:
    with pytest.raises(errdefs.WherryError, match="is not supported"):
        request.require_frontend(frontend, {"source": source})


def test_a_failure_shows_where_it_is() -> None:
    error = BuildError("did not complete", positions=[Position(2, 2)], source=SOURCE)
    told = failures.of_build(error)
    assert (told.code, told.message) == (Code.UNKNOWN, "did not complete")
    (detail,) = Status.FromString(told.details).details
    assert detail.type_url == "github.com/moby/buildkit/errdefs.Source+json"
    shown = json.loads(detail.value)
    assert base64.b64decode(shown["info"]["data"]) == SOURCE.content
    assert shown["ranges"] == [{"start": {"line": 2}, "end": {"line": 2}}]
    assert failures.of_build(errdefs.NotFound("x")).details == b""
    assert failures.of_build(DockerfileError("x", Position(1, 1))).details == b""


def test_a_failure_in_a_large_file_fits_a_header() -> None:
    lines = [b"RUN x%d" % number for number in range(1, 9000)]
    error = BuildError("no", positions=[Position(5000, 5001)], source=SourceFile("D", b"\n".join(lines)))
    told = failures.of_build(error)
    assert len(told.details) < 48 * 1024
    (detail,) = Status.FromString(told.details).details
    shown = base64.b64decode(json.loads(detail.value)["info"]["data"]).split(b"\n")
    assert shown[4999] == b"RUN x5000"


def test_what_a_client_failed_with_is_passed_on() -> None:
    said = Status(code=5, message="why")
    assert failures.passed_on(said).code == Code.NOT_FOUND
    assert failures.passed_on(Status(code=77, message="why")).code == Code.UNKNOWN
    assert failures.passed_on(Status()).code == Code.UNKNOWN


async def collected(progress: Progress) -> list[Any]:
    return [message async for message in progress.follow()]


async def test_progress_is_told_to_whoever_comes_and_whenever() -> None:
    progress = Progress()
    early = asyncio.get_running_loop().create_task(collected(progress))
    await asyncio.sleep(0)
    for name in ("a", "b"):
        await progress(VertexState(digest=name, name=name))
        await progress(VertexState(digest=name, name=name, started=1, completed=2))
    await progress(Log(vertex="a", data=b"out"))
    progress.end()
    late = await collected(progress)
    for told in (await early, late):
        vertexes = [vertex for message in told for vertex in message.vertexes]
        assert [vertex.digest for vertex in vertexes] == ["a", "a", "b", "b"]
        assert [log.msg for message in told for log in message.logs] == [b"out"]


async def test_a_slow_reader_holds_a_build_up_and_nobody_else_fills_memory() -> None:
    progress = Progress()
    await progress(VertexState(digest="a", name="a"))
    for _ in range(20):  # nobody looks: the oldest goes
        await progress(Log(vertex="a", data=bytes(1 << 20)))
    reader = progress.follow()
    first = await anext(reader)
    assert [vertex.digest for vertex in first.vertexes] == ["a"]
    writing = asyncio.get_running_loop().create_task(write(progress, 12))
    await asyncio.sleep(0.1)
    assert not writing.done()
    got = 0
    async for message in reader:
        got += sum(len(log.msg) for log in message.logs)
        if writing.done():
            progress.end()
    await writing
    assert got >= 15 << 20


async def write(progress: Progress, number: int) -> None:
    for _ in range(number):
        await progress(Log(vertex="a", data=bytes(1 << 20)))


async def test_findings_wait_for_the_file_whose_lines_they_show() -> None:
    progress = Progress()
    await progress(Finding(vertex="v", level=1, short="Rule: x", detail=["d"], url="u", lines=[(2, 2)]))
    await progress.know(SOURCE)
    progress.end()
    (message,) = await collected(progress)
    (warning,) = message.warnings
    assert (warning.info.filename, warning.info.data) == ("Dockerfile", SOURCE.content)
    assert (warning.ranges[0].start.line, progress.warnings) == (2, 1)


async def test_a_result_travels_as_a_graph() -> None:
    demanded: list[str] = []
    built = cast("Any", object())

    async def demand(ref: str) -> None:
        demanded.append(ref)
        product.result.set_result(Result(images=[built]))

    product = Product(request=asked(), planned=cast("Any", None), session=None)
    products = Products()
    products.add(product, demand)
    inputs = products.inputs({"0-a": Definition.FromString(graph(product.ref).SerializeToString())})
    assert await inputs["0-a"]() is built
    assert await inputs["0-a"]() is built
    assert demanded == [product.ref]
    products.settle(product)
    assert await inputs["0-a"]() is built


async def test_a_result_that_never_comes_is_said_to() -> None:
    product = Product(request=asked(), planned=cast("Any", None), session=None)
    products = Products()
    products.add(product, cast("Any", None))
    products.settle(product)
    with pytest.raises(errdefs.NotFound, match="ended before it had a result"):
        await products.inputs({"x": graph(product.ref)})["x"]()


@pytest.mark.parametrize(
    "foreign",
    [
        Definition(),
        Definition(ops=[b"\xff\xff"]),
        Definition(ops=[Op(source=SourceOp(identifier="docker-image://x")).SerializeToString()]),
        graph("unknown"),
    ],
)
async def test_other_graphs_are_refused(foreign: Definition) -> None:
    with pytest.raises((errdefs.Unsupported, errdefs.NotFound)):
        Products().inputs({"x": foreign})


async def test_a_session_is_waited_for_and_found_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, session = Sessions(), cast("Any", object())
    waiting = asyncio.get_running_loop().create_task(sessions.get("prefix:s"))
    await asyncio.sleep(0)
    with sessions.joined("s", session):
        assert await waiting is session
    monkeypatch.setattr("api.buildkit.sessions._PATIENCE", 0.05)
    with pytest.raises(errdefs.Unavailable, match="no active session for s"):
        await sessions.get("s")


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("grpc_tools", "mypy_protobuf")),
    reason="needs the compiler of protocol buffers",
)
def test_messages_are_those_of_their_definitions(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([ROOT / "contrib" / "protos", tmp_path], env=environment, check=True, capture_output=True)
    made = sorted((tmp_path / "api" / "buildkit" / "protos").glob("*_pb2*"))
    assert len(made) == 8
    for path in made:
        assert path.read_text() == (ROOT / path.relative_to(tmp_path)).read_text(), path.name
