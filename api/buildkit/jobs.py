"""Builds as clients drive them: one call (Control/Solve) lasts as long as the build, others (LLBBridge) say what to do.

All work is done in the task of the call that lasts, which so owns what the build holds, and ends it when it ends.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

import errdefs
from api.buildkit import failures, request
from api.buildkit.doors import Builds, Exporters
from api.buildkit.history import Entry
from api.buildkit.products import Product, Products
from api.buildkit.progress import Progress
from api.buildkit.protos.common_pb2 import Definition
from api.buildkit.protos.control_pb2 import SolveRequest
from api.buildkit.sessions import Sessions
from api.grpc.status import RpcError
from engine.build.results import Context, Result

_PATIENCE: Final = 10.0  # seconds that a call about a build waits for the build
_REMEMBERED: Final = 256  # builds that are over, of which calls are answered at once


class _Order(msgspec.Struct):
    """Something that the client wants of a build; `done` tells it when it is."""

    frontend: str = ""
    options: Mapping[str, str] = msgspec.field(default_factory=dict)
    inputs: Mapping[str, Definition] = msgspec.field(default_factory=dict)
    evaluate: str = ""
    answer: str | RpcError | None = None
    done: "asyncio.Future[str]" = msgspec.field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Job:
    """One build. `products` are what has been planned, by reference."""

    def __init__(
        self,
        solve: SolveRequest,
        builds: Builds,
        exporters: Exporters,
        sessions: Sessions,
        results: Products,
    ) -> None:
        self._solve = solve
        self._builds = builds
        self._exporters = exporters
        self._sessions = sessions
        self._results = results
        self._orders: asyncio.Queue[_Order] = asyncio.Queue(maxsize=16)
        self._ended = False
        self._returned = False
        self.progress = Progress()
        self.entry = Entry.of(solve, self.progress)
        self.products: dict[str, Product] = {}

    async def run(self, require: Callable[[], None]) -> dict[str, str]:
        """Build until the client returns a result; what it is told of the exports. RpcError when it failed.

        `require` raises for what is not built: its client may have ordered something by then, which is answered.
        """
        try:
            require()
            async with contextlib.AsyncExitStack() as held:
                if self._solve.Frontend:
                    order = _Order(
                        frontend=self._solve.Frontend,
                        options=self._solve.FrontendAttrs,
                        inputs=self._solve.FrontendInputs,
                    )
                    return await self._export(await self._plan(held, order))
                return await self._export(await self._obey(held))
        finally:
            self._ended = True
            for product in self.products.values():
                self._results.settle(product)
            while not self._orders.empty():
                self._orders.get_nowait().done.cancel()

    async def plan(
        self, frontend: str, options: Mapping[str, str], inputs: Mapping[str, Definition], *, evaluate: bool
    ) -> str:
        """Plan what a client asks for, and return a reference to it."""
        ref = await self._order(_Order(frontend=frontend, options=options, inputs=inputs))
        return await self._order(_Order(evaluate=ref)) if evaluate else ref

    async def evaluate(self, ref: str) -> None:
        """Execute what a reference stands for."""
        await self._order(_Order(evaluate=ref))

    async def conclude(self, answer: str | RpcError) -> None:
        """The client returns a reference ("" for nothing), or says what it failed with."""
        await self._order(_Order(answer=answer))

    async def _demand(self, ref: str) -> None:
        """Another build waits for a result; one that is made already, as the client has returned it, is not ordered."""
        if not self._returned:
            await self._orders.put(_Order(evaluate=ref))

    async def _order(self, order: _Order) -> str:
        if self._ended:
            raise errdefs.NotFound(f"no such job {self._solve.Ref}")
        await self._orders.put(order)
        return await order.done

    async def _obey(self, held: contextlib.AsyncExitStack) -> str:
        """Do what is ordered, until the client returns; the reference that it returned."""
        while True:
            order = await self._orders.get()
            if isinstance(order.answer, RpcError):
                _settle(order, "")
                raise order.answer
            if isinstance(order.answer, str):
                self._returned = True
                _settle(order, "")
                return order.answer
            try:
                if order.evaluate:
                    await self._execute(order.evaluate)
                ref = order.evaluate or await self._plan(held, order)
            except RpcError as error:
                _settle(order, error)
            except BaseException:
                order.done.cancel()
                raise
            else:
                _settle(order, ref)

    async def _plan(self, held: contextlib.AsyncExitStack, order: _Order) -> str:
        with self._failing():
            request.require_frontend(order.frontend, order.options)
            self.entry.began(order.frontend, order.options)
            inputs = self._results.inputs(order.inputs)
            asked = request.of_solve(self._solve, order.options, inputs)
            session = await self._sessions.get(self._solve.Session) if self._solve.Session else None
            planning = self._builds.plan(asked, session, Context(), self.progress)
            planned = await held.enter_async_context(planning)
        await self.progress.know(planned.source)
        product = Product(request=asked, planned=planned, session=session)
        self.products[product.ref] = product
        self._results.add(product, self._demand)
        return product.ref

    async def _execute(self, ref: str) -> tuple[Product, Result]:
        product = self._product(ref)
        if not product.result.done():
            await self._make(product)
        with self._failing():
            return product, product.result.result()

    async def _make(self, product: Product) -> None:
        asked, session = product.request, product.session
        try:
            async with self._exporters.imports(asked, session, self.progress) as imports:
                product.result.set_result(await self._builds.execute(product.planned, [imports]))
        except errdefs.WherryError as error:
            product.fail(error)

    async def _export(self, ref: str) -> dict[str, str]:
        if not ref:
            return {}
        product, result = await self._execute(ref)
        with self._failing():
            return dict(await self._exporters.run(product.request, result, product.session, self.progress))

    def _product(self, ref: str) -> Product:
        if ref not in self.products:
            with self._failing():
                raise errdefs.NotFound(f"no such reference {ref[:80]}")
        return self.products[ref]

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except errdefs.WherryError as error:
            raise failures.of_build(error) from error


class Jobs:
    """The builds that are under way."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._over: OrderedDict[str, None] = OrderedDict()
        self._begun = asyncio.Event()

    @contextlib.contextmanager
    def begun(self, ref: str, job: Job) -> Iterator[None]:
        """A build is under way while the block lasts. Conflict for a reference that is taken."""
        if ref in self._jobs:
            raise errdefs.Conflict(f"job ID {ref} exists")
        self._jobs[ref] = job
        self._over.pop(ref, None)
        self._begun.set()
        self._begun = asyncio.Event()
        try:
            yield
        finally:
            del self._jobs[ref]
            self._over[ref] = None
            while len(self._over) > _REMEMBERED:
                self._over.popitem(last=False)

    async def get(self, ref: str) -> Job:
        """The build of that reference, which may be about to begin. NotFound if it does not, or is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while ref not in self._jobs and ref not in self._over:
                    await self._begun.wait()
        if ref not in self._jobs:
            raise errdefs.NotFound(f"no such job {ref[:80]}")
        return self._jobs[ref]


def _settle(order: _Order, outcome: str | RpcError) -> None:
    """Tell it to whoever still waits for it."""
    if order.done.done():
        return
    if isinstance(outcome, RpcError):
        order.done.set_exception(outcome)
    else:
        order.done.set_result(outcome)
