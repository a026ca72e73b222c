"""The transcripts of newer clients (buildx 0.36 with CLI 29), which differ: HTTP/2 at once, history, traces."""

import json
from pathlib import Path

import pytest

from api.buildkit.protos import common_pb2, control_pb2, gateway_pb2
from api.buildkit.protos.control_pb2 import Exporter
from api.grpc import client
from api.grpc.status import Code, RpcError
from tests.daemon import Wherryd
from tests.integration.build.buildkit.client import BRIDGE, Client, connected

pytestmark = pytest.mark.root

DOCKERFILE = "FROM busybox\nCOPY f /f\nRUN cat /f\n"


@pytest.fixture
def made(project: Path) -> Path:
    (project / "Dockerfile").write_text(DOCKERFILE)
    (project / "f").write_text("content")
    return project


@pytest.mark.parametrize("upgrade", [False, True], ids=["h2c", "upgrade"])
async def test_a_build_of_either_way_in(wherryd: Wherryd, made: Path, upgrade: bool) -> None:
    async with connected(str(wherryd.socket), upgrade=upgrade) as buildx:
        workers = await buildx.control(
            "ListWorkers", control_pb2.ListWorkersRequest(), control_pb2.ListWorkersResponse
        )
        assert [each.OS for each in workers.record[0].platforms] == ["linux"]
        assert "solve.base" in {cap.ID for cap in (await buildx.probe()).FrontendAPICaps}
        exporters = [Exporter(Type="moby", Attrs={"name": "newer:1"})]
        build, told = await buildx.build(made, exporters)
        await records(buildx, build, told)
    assert told["image.name"] == "docker.io/library/newer:1"
    assert told["containerimage.config.digest"].startswith("sha256:")
    names = [vertex.name for status in buildx.told for vertex in status.vertexes if vertex.completed.seconds]
    assert "[internal] load build definition from Dockerfile" in names
    assert "exporting to image" in names
    output = b"".join(log.msg for status in buildx.told for log in status.logs)
    assert output == b"content"
    assert wherryd.docker("run", "--rm", "newer:1", "cat", "/f").stdout == "content"


async def records(buildx: Client, build: str, told: dict[str, str]) -> None:
    """What the client asks of the history, for a metadata file, `buildx history ls`, `logs` and `rm`."""
    asked = control_pb2.BuildHistoryRequest(Ref=build, EarlyExit=True)
    (event,) = await buildx.several("ListenBuildHistory", asked, control_pb2.BuildHistoryEvent)
    assert event.type == control_pb2.COMPLETE
    assert dict(event.record.ExporterResponse) == told
    assert event.record.Frontend == "dockerfile.v0"
    assert event.record.numTotalSteps == event.record.numCompletedSteps > 4
    again = Client(buildx.http2, buildx.socket)
    await again.status(build)
    assert b"".join(log.msg for status in again.told for log in status.logs) == b"content"
    remove = control_pb2.UpdateBuildHistoryRequest(Ref=build, Delete=True)
    await buildx.control("UpdateBuildHistory", remove, control_pb2.UpdateBuildHistoryResponse)
    assert not await buildx.several("ListenBuildHistory", asked, control_pb2.BuildHistoryEvent)


async def test_whether_there_is_a_history(wherryd: Wherryd) -> None:
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        asked = control_pb2.BuildHistoryRequest(
            ActiveOnly=True, Ref="buildx-test-history-api-feature", EarlyExit=True
        )
        assert not await buildx.several("ListenBuildHistory", asked, control_pb2.BuildHistoryEvent)


async def test_traces_are_taken_and_dropped(wherryd: Wherryd) -> None:
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        spans = common_pb2.BytesMessage(data=b"spans")
        await client.call(buildx.http2, path, spans, common_pb2.BytesMessage)


async def test_a_failure_is_recorded_with_its_place(wherryd: Wherryd, made: Path) -> None:
    (made / "Dockerfile").write_text("FROM busybox\nRUN exit 7\n")
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        with pytest.raises(RpcError, match="exit code: 7") as failed:
            await buildx.build(made, [Exporter(Type="moby")])
        events = await buildx.several(
            "ListenBuildHistory",
            control_pb2.BuildHistoryRequest(EarlyExit=True),
            control_pb2.BuildHistoryEvent,
        )
    assert failed.value.code == Code.UNKNOWN
    assert common_pb2.Status.FromString(failed.value.details).details[0].type_url.endswith("Source+json")
    assert "exit code: 7" in events[-1].record.error.message


async def test_graphs_and_languages_of_others_are_refused(wherryd: Wherryd, made: Path) -> None:
    source = common_pb2.Op(source=common_pb2.SourceOp(identifier="docker-image://busybox"))
    definition = common_pb2.Definition(ops=[source.SerializeToString()])
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        for request in (
            control_pb2.SolveRequest(Ref="raw", Definition=definition),
            control_pb2.SolveRequest(
                Ref="foreign", Frontend="gateway.v0", FrontendAttrs={"source": "example.com/other:1"}
            ),
            control_pb2.SolveRequest(Ref="policy", SourcePolicy=b"\x08\x01"),
        ):
            with pytest.raises(RpcError, match=r"not supported"):
                await buildx.control("Solve", request, control_pb2.SolveResponse)
        with pytest.raises(RpcError, match="raw LLB definitions are not supported"):
            await buildx.build(made, [], Definition=definition)
        with pytest.raises(RpcError, match="raw LLB definitions are not supported"):
            await buildx.build(made, [], FrontendInputs={"x": definition})


async def test_a_build_that_is_not_there(wherryd: Wherryd) -> None:
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        path = BRIDGE + "Ping"
        with pytest.raises(RpcError, match="no buildid"):
            await client.call(buildx.http2, path, gateway_pb2.PingRequest(), gateway_pb2.PongResponse)
        with pytest.raises(RpcError, match="no such job"):
            await buildx.bridge("Ping", "nothing", gateway_pb2.PingRequest(), gateway_pb2.PongResponse)


async def test_the_rules_of_a_dockerfile_are_asked_for(wherryd: Wherryd, made: Path) -> None:
    """`docker build --check`: nothing is built, and the answer is the result's metadata."""
    (made / "Dockerfile").write_text("from busybox\nRUN exit 1\nCOPY f /f\n")
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        options = {
            "requestid": "frontend.lint",
            "frontend.caps": "moby.buildkit.frontend.subrequests+forward",
        }
        _, told = await buildx.build(made, [], options)
        assert told == {}
        metadata = buildx.planned[0].result.metadata
        found = json.loads(metadata["result.json"])
        assert metadata["result.statuscode"] == b"1"
        rules = {warning["ruleName"]: warning for warning in found["warnings"]}
        assert rules["ConsistentInstructionCasing"]["location"]["ranges"][0]["start"]["line"] == 1
        assert "(line" not in rules["ConsistentInstructionCasing"]["detail"]
        assert b"ConsistentInstructionCasing" in metadata["result.txt"]
        with pytest.raises(RpcError, match="unsupported subrequest"):
            await buildx.build(made, [], {"requestid": "frontend.nothing"})
