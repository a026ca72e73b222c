"""BuildKit's LLBBridge service: how a client drives the build that its Control/Solve began."""

import json
from collections.abc import Awaitable, Callable
from typing import Final

import errdefs
from api.buildkit import failures, filemode, lint
from api.buildkit import request as requests
from api.buildkit.jobs import Job, Jobs
from api.buildkit.products import graph
from api.buildkit.protos import gateway_pb2, session_pb2
from api.buildkit.worker import Worker
from api.grpc.server import Call, Method
from engine.build.progress import Finding

_SERVICE: Final = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD: Final = "buildkit-controlapi-buildid"
_FRONTEND_CAPS: Final = (
    *("solve.base", "solve.inlinereturn", "return", "returnmap", "statfile", "importcaches"),
    *("proto.refarray", "reference.output", "frontend.inputs", "frontend.caps", "gateway.solve.metadata"),
    *("gateway.solve.evaluate", "gateway.evaluate", "gateway.warnings"),
)
_LLB_CAPS: Final = (
    *("source.image", "source.image.resolvemode", "source.local", "source.local.unique"),
    *("source.local.sessionid", "source.local.includepatterns", "source.local.followpaths"),
    *("source.local.excludepatterns", "source.local.sharedkeyhint", "source.git", "source.http"),
    *("exec.meta.base", "exec.mount.bind", "exec.mount.cache", "exec.mount.cache.sharing"),
    *("exec.mount.tmpfs", "exec.mount.secret", "exec.mount.ssh", "exec.meta.network", "exec.meta.ulimit"),
    *("constraints", "platform", "file.base", "meta.ignorecache", "meta.description", "meta.exportcache"),
    "exporter.sourcedateepoch",
)
"""Of these clients conclude what they may ask of a build; a graph of their own is none of it."""


class Gateway:
    """The service."""

    def __init__(self, jobs: Jobs, worker: Callable[[], Awaitable[Worker]]) -> None:
        self._jobs = jobs
        self._worker = worker

    def methods(self) -> dict[str, Method]:
        """By path."""
        return {
            f"{_SERVICE}Ping": Method(gateway_pb2.PingRequest, self.ping),
            f"{_SERVICE}Solve": Method(gateway_pb2.SolveRequest, self.solve),
            f"{_SERVICE}Evaluate": Method(gateway_pb2.EvaluateRequest, self.evaluate),
            f"{_SERVICE}StatFile": Method(gateway_pb2.StatFileRequest, self.stat_file),
            f"{_SERVICE}Return": Method(gateway_pb2.ReturnRequest, self.give_back),
            f"{_SERVICE}Inputs": Method(gateway_pb2.InputsRequest, self.inputs),
            f"{_SERVICE}Warn": Method(gateway_pb2.WarnRequest, self.warn),
        }

    async def ping(self, call: Call, request: gateway_pb2.PingRequest) -> gateway_pb2.PongResponse:
        """What may be asked of a build that has begun."""
        del request
        await self._job(call)
        return gateway_pb2.PongResponse(
            FrontendAPICaps=[gateway_pb2.APICap(ID=each, Enabled=True) for each in _FRONTEND_CAPS],
            LLBCaps=[gateway_pb2.APICap(ID=each, Enabled=True) for each in _LLB_CAPS],
            Workers=[(await self._worker()).record()],
        )

    async def solve(self, call: Call, request: gateway_pb2.SolveRequest) -> gateway_pb2.SolveResponse:
        """Plan a Dockerfile; what is answered stands for its result, which is made when it is returned."""
        job = await self._job(call)
        requests.refuse_definition(request.HasField("Definition") and bool(request.Definition.ops))
        if not request.Frontend:
            return gateway_pb2.SolveResponse(result=gateway_pb2.Result())
        options = dict(request.FrontendOpt)
        if request.CacheImports:
            entries = [{"Type": each.Type, "Attrs": dict(each.Attrs)} for each in request.CacheImports]
            options["cache-imports"] = json.dumps(entries)
        inputs = request.FrontendInputs
        ref = await job.plan(request.Frontend, options, inputs, evaluate=request.Evaluate)
        result = gateway_pb2.Result()
        if options.get("requestid"):
            product = job.products[ref]
            for key, value in lint.answer(options["requestid"], product.planned).items():
                result.metadata[key] = value
        else:
            result.ref.id = ref
            result.ref.def_.CopyFrom(graph(ref))
        return gateway_pb2.SolveResponse(result=result)

    async def evaluate(
        self, call: Call, request: gateway_pb2.EvaluateRequest
    ) -> gateway_pb2.EvaluateResponse:
        """Make a result."""
        await (await self._job(call)).evaluate(request.Ref)
        return gateway_pb2.EvaluateResponse()

    async def stat_file(
        self, call: Call, request: gateway_pb2.StatFileRequest
    ) -> gateway_pb2.StatFileResponse:
        """By which older clients make a result: they look at its root."""
        if request.Path not in (".", "", "/"):
            raise errdefs.Unsupported("files of results cannot be looked at")
        await (await self._job(call)).evaluate(request.Ref)
        root = session_pb2.Stat(path=b".", mode=filemode.DIRECTORY | 0o755)
        return gateway_pb2.StatFileResponse(stat=root)

    async def give_back(self, call: Call, request: gateway_pb2.ReturnRequest) -> gateway_pb2.ReturnResponse:
        """The client has what it wants: that is made and exported, and with it the build ends."""
        job = await self._job(call)
        if request.HasField("error"):
            await job.conclude(failures.passed_on(request.error))
        else:
            await job.conclude(_reference(request.result))
        return gateway_pb2.ReturnResponse()

    async def inputs(self, call: Call, request: gateway_pb2.InputsRequest) -> gateway_pb2.InputsResponse:
        """There are none: a frontend that has some runs in the daemon."""
        del call, request
        return gateway_pb2.InputsResponse()

    async def warn(self, call: Call, request: gateway_pb2.WarnRequest) -> gateway_pb2.WarnResponse:
        """A client's own frontend warns; it is told to whoever looks at the build."""
        job = await self._job(call)
        warning = Finding(
            vertex=request.digest,
            level=request.level,
            short=request.short.decode(errors="replace"),
            detail=[line.decode(errors="replace") for line in request.detail],
            url=request.url,
            lines=(),
        )
        await job.progress(warning)
        return gateway_pb2.WarnResponse()

    async def _job(self, call: Call) -> Job:
        refs = call.metadata.get(_BUILD, [])
        if not refs:
            raise errdefs.InvalidArgument("no buildid found in context")
        return await self._jobs.get(refs[0])


def _reference(result: gateway_pb2.Result) -> str:
    """What a client returns, "" for nothing. InvalidArgument for more than one."""
    refs = [result.ref.id, result.refDeprecated, *(each.id for each in result.refs.refs.values())]
    named = [ref for ref in refs if ref]
    if len(named) > 1:
        raise errdefs.InvalidArgument("a result of several references cannot be returned")
    return named[0] if named else ""
