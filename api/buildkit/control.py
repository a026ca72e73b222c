"""BuildKit's Control service: builds, what they tell, the worker, the cache and the history."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import errdefs
from api.buildkit import request as requests
from api.buildkit.cache import Cache
from api.buildkit.doors import Builds, Exporters
from api.buildkit.history import History
from api.buildkit.jobs import Job, Jobs
from api.buildkit.products import Products
from api.buildkit.protos import control_pb2
from api.buildkit.sessions import Sessions
from api.buildkit.worker import BUILDKIT, Worker
from api.grpc import status
from api.grpc.server import Call, Method
from api.grpc.status import Code, RpcError

_SERVICE: Final = "/moby.buildkit.v1.Control/"


class Control:
    """The service. `worker` tells of the worker as it is now."""

    def __init__(
        self,
        builds: Builds,
        exporters: Exporters,
        cache: Cache,
        sessions: Sessions,
        jobs: Jobs,
        history: History,
        worker: Callable[[], Awaitable[Worker]],
    ) -> None:
        self._builds = builds
        self._exporters = exporters
        self._cache = cache
        self._sessions = sessions
        self._jobs = jobs
        self._worker = worker
        self._history = history
        self._results = Products()

    def methods(self) -> dict[str, Method]:
        """By path."""
        return {
            f"{_SERVICE}ListWorkers": Method(control_pb2.ListWorkersRequest, self.list_workers),
            f"{_SERVICE}Info": Method(control_pb2.InfoRequest, self.info),
            f"{_SERVICE}Solve": Method(control_pb2.SolveRequest, self.solve),
            f"{_SERVICE}Status": Method(control_pb2.StatusRequest, self.status),
            f"{_SERVICE}DiskUsage": Method(control_pb2.DiskUsageRequest, self.disk_usage),
            f"{_SERVICE}Prune": Method(control_pb2.PruneRequest, self.prune),
            f"{_SERVICE}ListenBuildHistory": Method(control_pb2.BuildHistoryRequest, self.listen_history),
            f"{_SERVICE}UpdateBuildHistory": Method(
                control_pb2.UpdateBuildHistoryRequest, self.update_history
            ),
        }

    async def list_workers(
        self, call: Call, request: control_pb2.ListWorkersRequest
    ) -> control_pb2.ListWorkersResponse:
        """There is one, whatever filter."""
        del call, request
        return control_pb2.ListWorkersResponse(record=[(await self._worker()).record()])

    async def info(self, call: Call, request: control_pb2.InfoRequest) -> control_pb2.InfoResponse:
        """The version of BuildKit that clients may take this for."""
        del call, request
        return control_pb2.InfoResponse(buildkitVersion=BUILDKIT)

    async def solve(self, call: Call, request: control_pb2.SolveRequest) -> control_pb2.SolveResponse:
        """A build, from its beginning to its end; a client that goes away ends it."""
        del call
        if not request.Ref:
            raise errdefs.InvalidArgument("a build needs a reference")
        job = Job(request, self._builds, self._exporters, self._sessions, self._results)
        with self._jobs.begun(request.Ref, job):
            async with self._recorded(job) as answers:
                answers |= await job.run(lambda: self._require_served(request))
        return control_pb2.SolveResponse(ExporterResponse=answers)

    async def status(self, call: Call, request: control_pb2.StatusRequest) -> None:
        """What a build tells, of one that has ended as well."""
        call.begin()
        known = self._history.follow(request.Ref)
        told = known or (await self._jobs.get(request.Ref)).progress.follow()
        async with contextlib.aclosing(told) as messages:
            async for message in messages:
                await call.send(message)

    async def disk_usage(
        self, call: Call, request: control_pb2.DiskUsageRequest
    ) -> control_pb2.DiskUsageResponse:
        """What the cache keeps."""
        del call
        records = await self._cache.usage(list(request.filter), request.ageLimit)
        return control_pb2.DiskUsageResponse(record=records)

    async def prune(self, call: Call, request: control_pb2.PruneRequest) -> None:
        """Take away of the cache; tells what went."""
        for record in await self._cache.prune(request):
            await call.send(record)

    async def listen_history(self, call: Call, request: control_pb2.BuildHistoryRequest) -> None:
        """Builds, as they come and go."""
        call.begin()
        async with contextlib.aclosing(self._history.listen(request)) as events:
            async for event in events:
                await call.send(event)

    async def update_history(
        self, call: Call, request: control_pb2.UpdateBuildHistoryRequest
    ) -> control_pb2.UpdateBuildHistoryResponse:
        """Pin or forget a build; one that is finalized already stays so."""
        del call
        if request.Delete:
            await self._history.delete(request.Ref)
        elif not request.Finalize:
            await self._history.update(request.Ref, pinned=request.Pinned)
        return control_pb2.UpdateBuildHistoryResponse()

    @contextlib.asynccontextmanager
    async def _recorded(self, job: Job) -> AsyncIterator[dict[str, str]]:
        """Keep the history of a build; its progress ends with the block."""
        entry, progress = job.entry, job.progress
        answers: dict[str, str] = {}
        failure: RpcError | None = None
        self._history.add(entry)
        try:
            yield answers
        except RpcError as error:
            failure = error
            raise
        except errdefs.WherryError as error:
            failure = status.of_failure(error)
            raise failure from error
        except asyncio.CancelledError:
            failure = RpcError(Code.CANCELLED, "context canceled")
            raise
        finally:
            entry.ended(progress, answers, failure)
            told = progress.kept()
            progress.end()
            await self._history.ended(entry, told)

    def _require_served(self, request: control_pb2.SolveRequest) -> None:
        """Pass if it can be built at all, before anything begins."""
        requests.refuse_definition(request.HasField("Definition") and bool(request.Definition.ops))
        if request.SourcePolicy:
            raise errdefs.Unsupported("source policies are not supported")
        self._builds.require_granted(
            insecure=requests.INSECURE in request.Entitlements,
            host_network=requests.HOST_NETWORK in request.Entitlements,
        )
        if request.Frontend:
            requests.require_frontend(request.Frontend, request.FrontendAttrs)
