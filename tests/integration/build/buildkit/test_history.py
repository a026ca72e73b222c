"""The history of builds, which outlives the daemon, as newer clients ask for it (`buildx history`)."""

import os
from pathlib import Path

import pytest

from api.buildkit.protos import control_pb2
from api.buildkit.protos.control_pb2 import (
    BuildHistoryEvent,
    BuildHistoryRecord,
    BuildHistoryRequest,
    Exporter,
    UpdateBuildHistoryRequest,
    UpdateBuildHistoryResponse,
)
from api.grpc.status import RpcError
from tests.daemon import Wherryd
from tests.integration.build.buildkit.client import Client, connected

pytestmark = pytest.mark.root


async def listed(buildx: Client, ref: str) -> list[BuildHistoryRecord]:
    """The records of a build."""
    asked = BuildHistoryRequest(Ref=ref, EarlyExit=True)
    events: list[BuildHistoryEvent] = await buildx.several("ListenBuildHistory", asked, BuildHistoryEvent)
    assert all(event.type == control_pb2.COMPLETE for event in events)
    return [event.record for event in events]


async def update(buildx: Client, ref: str, *, pinned: bool = False, delete: bool = False) -> None:
    request = UpdateBuildHistoryRequest(Ref=ref, Pinned=pinned, Delete=delete)
    await buildx.control("UpdateBuildHistory", request, UpdateBuildHistoryResponse)


async def test_a_kill_forgets_nothing_that_was_answered(wherryd: Wherryd, project: Path) -> None:
    nonce = os.urandom(8).hex()
    (project / "Dockerfile").write_text(f"FROM busybox\nRUN echo said {nonce}\nRUN exit 3\n")
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        with pytest.raises(RpcError):
            await buildx.build(project, [])
        (project / "Dockerfile").write_text(f"FROM busybox\nRUN echo said {nonce}\n")
        ref, told = await buildx.build(project, [Exporter(Type="moby", Attrs={"name": "history:1"})])
        (before,) = await listed(buildx, ref)
        wherryd.kill9()
    wherryd.start()
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        assert await listed(buildx, ref) == [before]
        assert dict(before.ExporterResponse) == told
        assert before.numCachedSteps >= 1, "the first build's step"
        failed = [each for each in await listed(buildx, "") if each.HasField("error")]
        assert "exit code: 3" in failed[-1].error.message
        again = Client(buildx.http2, buildx.socket)
        await again.status(failed[-1].Ref)
        assert f"said {nonce}\n".encode() in b"".join(log.msg for part in again.told for log in part.logs)
        names = [vertex.name for part in again.told for vertex in part.vertexes]
        assert "[3/3] RUN exit 3" in names
        await update(buildx, failed[-1].Ref, delete=True)


async def test_pins_and_deletions_last(wherryd: Wherryd, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM busybox\n")
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        pinned, _ = await buildx.build(project, [])
        deleted, _ = await buildx.build(project, [])
        await update(buildx, pinned, pinned=True)
        await update(buildx, deleted, delete=True)
        await update(buildx, deleted, delete=True)  # which it is already
        with pytest.raises(RpcError, match=f"failed to retrieve ref {deleted}"):
            await update(buildx, deleted, pinned=True)
        wherryd.kill9()
    wherryd.start()
    async with connected(str(wherryd.socket), upgrade=False) as buildx:
        assert [each.pinned for each in await listed(buildx, pinned)] == [True]
        assert [each.Generation for each in await listed(buildx, pinned)] == [1]
        assert not await listed(buildx, deleted)
        await update(buildx, pinned, delete=True)
