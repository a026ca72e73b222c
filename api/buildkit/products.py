"""What clients get references to: builds that are planned, and their results for other builds to stand on.

A client may make one build's result the context of another (bake's `contexts = {x = "target:y"}`). It gets a graph
with a reference to the result for its only source, and sends that back as the input of the other build.
"""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

import errdefs
from api.buildkit.protos.common_pb2 import Definition, Input, Op, OpMetadata, SourceOp
from engine.build.builds import Planned
from engine.build.request import BuildRequest
from engine.build.results import Built, Result
from engine.build.session import Session

_SCHEME: Final = "wherry-result://"
_KEPT: Final = 64  # results of builds that have ended; their layers are in the cache


class Product(msgspec.Struct, kw_only=True):
    """A build that is planned; `result` is there once it has been executed, its failure when that failed."""

    request: BuildRequest
    planned: Planned
    session: Session | None
    ref: str = msgspec.field(default_factory=lambda: secrets.token_hex(12))
    result: "asyncio.Future[Result]" = msgspec.field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: errdefs.WherryError) -> None:
        """It has no result, and will not have one."""
        if not self.result.done():
            self.result.set_exception(error)
            self.result.exception()  # asked for: nobody may be waiting


class Products:
    """The last results, by reference, whichever build they are of, and how those are had that are not made yet."""

    def __init__(self) -> None:
        self._results: dict[str, asyncio.Future[Result]] = {}
        self._demands: dict[str, Callable[[str], Awaitable[None]]] = {}

    def add(self, product: Product, demand: Callable[[str], Awaitable[None]]) -> None:
        """Something was planned; `demand` has its build execute it, if that would wait otherwise."""
        self._results[product.ref] = product.result
        self._demands[product.ref] = demand
        while len(self._results) > _KEPT:
            del self._results[next(iter(self._results))]

    def settle(self, product: Product) -> None:
        """Its build ends: it has a result now, or never."""
        product.fail(errdefs.NotFound(f"the build of {product.ref} ended before it had a result"))
        del self._demands[product.ref]

    def inputs(self, given: Mapping[str, Definition]) -> dict[str, Callable[[], Awaitable[Built]]]:
        """The results that a client gives as inputs, by name. Unsupported for graphs that are not of this daemon."""
        return {name: self._waiting(name, _reference(name, graph)) for name, graph in given.items()}

    def _waiting(self, name: str, ref: str) -> Callable[[], Awaitable[Built]]:
        result = self._results.get(ref)
        if result is None:
            raise errdefs.NotFound(f"input {name}: no such reference {ref[:80]}")

        async def built() -> Built:
            if not result.done() and ref in self._demands:
                await self._demands[ref](ref)
            return (await asyncio.shield(result)).only

        return built


def graph(ref: str) -> Definition:
    """A reference as a graph that clients can carry around."""
    source = Op(source=SourceOp(identifier=f"{_SCHEME}{ref}")).SerializeToString()
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
    end = Op(inputs=[Input(digest=digest)]).SerializeToString()
    return Definition(ops=[source, end], metadata={digest: OpMetadata()})


def _reference(name: str, graph: Definition) -> str:
    with contextlib.suppress(DecodeError):
        for op in graph.ops:
            identifier = Op.FromString(op).source.identifier
            if identifier.startswith(_SCHEME):
                return identifier.removeprefix(_SCHEME)
    raise errdefs.Unsupported(
        f"input {name}: raw LLB definitions are not supported: wherry builds from Dockerfiles (frontend dockerfile.v0)"
    )
