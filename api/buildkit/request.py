"""What a client asks of a build, from the words of BuildKit's API. Pure."""

import csv
import io
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import errdefs
from api.buildkit.protos import control_pb2
from engine.build.dockerfile.directives import require_own
from engine.build.request import BuildRequest, Target
from engine.build.results import Built
from engine.build.steps import Limits
from engine.config.values import parse_ulimit
from engine.containers.config import Ulimit

DOCKERFILE: Final = "dockerfile.v0"
GATEWAY: Final = "gateway.v0"
INSECURE: Final = "security.insecure"
HOST_NETWORK: Final = "network.host"
LINT: Final = "frontend.lint"
_NETWORKS: Final = {"": "default", "sandbox": "default", "host": "host", "none": "none"}
_NUMBERS: Final = {
    "memory": "memory",
    "memswap": "memory_swap",
    "cpushares": "cpu_shares",
    "cpuperiod": "cpu_period",
    "cpuquota": "cpu_quota",
    "shm-size": "shm_size",
}


def require_frontend(frontend: str, options: Mapping[str, str]) -> None:
    """Pass if the language is Dockerfile's, which we read ourselves; a failure that says so for any other."""
    if frontend in ("", DOCKERFILE):
        return
    if frontend != GATEWAY:
        raise errdefs.Unsupported(
            f"frontend {frontend[:80]} is not supported: wherry builds from Dockerfiles"
        )
    require_own(options.get("source", ""))


def refuse_definition(given: bool) -> None:
    """Pass unless a graph of BuildKit's own was sent."""
    if given:
        raise errdefs.Unsupported(
            "raw LLB definitions are not supported: wherry builds from Dockerfiles (frontend dockerfile.v0)"
        )


def of_solve(
    solve: control_pb2.SolveRequest,
    options: Mapping[str, str],
    inputs: Mapping[str, Callable[[], Awaitable[Built]]],
) -> BuildRequest:
    """The build of a Control/Solve with its frontend's options. InvalidArgument for what cannot be."""
    arguments = _with_prefix(options, "build-arg:")
    if hostname := options.get("hostname", ""):
        arguments.setdefault("BUILDKIT_SANDBOX_HOSTNAME", hostname)
    entitlements = set(solve.Entitlements)
    return BuildRequest(
        id=solve.Ref,
        filename=options.get("filename", "") or "Dockerfile",
        target=options.get("target", ""),
        arguments=arguments,
        labels=_with_prefix(options, "label:"),
        platforms=_list(options.get("platform", "")),
        contexts=_with_prefix(options, "context:"),
        inputs=inputs,
        remote=options.get("context", ""),
        local_dockerfile=bool(options.get("dockerfilekey", "")),
        no_cache_stages=_list(options["no-cache"]) if "no-cache" in options else None,
        pull=_pulls(options.get("image-resolve-mode", "")),
        network=_network(options.get("force-network-mode", "")),
        extra_hosts=[_host(field) for field in _fields(options.get("add-hosts", ""))],
        limits=_limits(options),
        insecure=INSECURE in entitlements,
        host_network=HOST_NETWORK in entitlements,
        exporters=_exporters(solve),
        cache_from=cache_imports(solve, options),
        cache_to=_cache_exports(solve.Cache),
        check=options.get("requestid", "") == LINT,
    )


def cache_imports(solve: control_pb2.SolveRequest, options: Mapping[str, str]) -> list[Target]:
    """The caches that are to be looked at, of all the places where clients say so."""
    found = [Target(kind=entry.Type, attributes=dict(entry.Attrs)) for entry in solve.Cache.Imports]
    if text := options.get("cache-imports", ""):
        found += [_import(entry) for entry in _json_list("cache-imports", text)]
    refs = [*_list(options.get("cache-from", "")), *solve.Cache.ImportRefsDeprecated]
    found += [Target(kind="registry", attributes={"ref": ref}) for ref in refs]
    once: dict[str, Target] = {}
    for target in found:
        once.setdefault(repr((target.kind, sorted(target.attributes.items()))), target)
    return list(once.values())


def _import(entry: object) -> Target:
    match entry:
        case {"Type": str(kind), "Attrs": dict(attributes)}:
            return Target(kind=kind, attributes={str(key): str(value) for key, value in attributes.items()})
        case {"Type": str(kind)}:
            return Target(kind=kind)
    raise errdefs.InvalidArgument(f"cache-imports: {str(entry)[:100]} is no source of a cache")


def _json_list(name: str, text: str) -> list[object]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise errdefs.InvalidArgument(f'failed to unmarshal {name} ("{text[:100]}"): {error}') from None
    if found is None:
        return []
    if not isinstance(found, list):
        raise errdefs.InvalidArgument(f'failed to unmarshal {name} ("{text[:100]}"): no list')
    return found


def _exporters(solve: control_pb2.SolveRequest) -> list[Target]:
    if solve.Exporters:
        return [
            Target(kind=each.Type, attributes=dict(each.Attrs), id=str(number))
            for number, each in enumerate(solve.Exporters)
        ]
    if not solve.ExporterDeprecated:
        return []
    return [Target(kind=solve.ExporterDeprecated, attributes=dict(solve.ExporterAttrsDeprecated), id="0")]


def _cache_exports(cache: control_pb2.CacheOptions) -> list[Target]:
    found = [Target(kind=entry.Type, attributes=dict(entry.Attrs)) for entry in cache.Exports]
    if cache.ExportRefDeprecated and not found:
        attributes = {**cache.ExportAttrsDeprecated, "ref": cache.ExportRefDeprecated}
        found.append(Target(kind="registry", attributes=attributes))
    return found


def _pulls(mode: str) -> bool:
    if mode not in ("", "default", "pull", "local"):
        raise errdefs.InvalidArgument(f"invalid image-resolve-mode: {mode}")
    return mode == "pull"


def _network(mode: str) -> str:
    if mode not in _NETWORKS:
        raise errdefs.InvalidArgument(f"invalid netmode {mode}")
    return _NETWORKS[mode]


def _host(field: str) -> str:
    name, equals, address = field.partition("=")
    if not equals:
        raise errdefs.InvalidArgument(f"failed to parse additional hosts: invalid key-value pair {field}")
    return f"{name.lower()}:{address}"


def _limits(options: Mapping[str, str]) -> Limits:
    numbers = {
        ours: _number(theirs, options[theirs]) for theirs, ours in _NUMBERS.items() if options.get(theirs)
    }
    return Limits(
        ulimits=[_ulimit(field) for field in _fields(options.get("ulimit", ""))],
        cgroup_parent=options.get("cgroup-parent", ""),
        cpuset_cpus=options.get("cpusetcpus", ""),
        cpuset_mems=options.get("cpusetmems", ""),
        **numbers,
    )


def _number(name: str, text: str) -> int:
    least = -1 if name == "memswap" else 1
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not least <= number < 2**63 or not number:
        raise errdefs.InvalidArgument(f"invalid {name} value: {text[:40]}")
    return number


def _ulimit(field: str) -> Ulimit:
    try:
        return parse_ulimit(field)
    except ValueError as error:
        raise errdefs.InvalidArgument(f"failed to parse ulimit: {error}") from None


def _with_prefix(options: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in options.items() if key.startswith(prefix)}


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _fields(text: str) -> list[str]:
    return next(csv.reader(io.StringIO(text)), []) if text else []
