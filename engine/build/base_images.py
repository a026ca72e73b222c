"""The images that a build stands on: those that are here, and those of registries, which are fetched when needed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

import errdefs
from engine.build.layout import Layout
from engine.build.plan.metadata import Base
from engine.build.progress import VertexState, Watch
from engine.build.pull_lines import PullLines
from engine.build.refs import Ref
from engine.build.remote_images import RemoteImages, layer_of
from engine.build.request import BuildRequest
from engine.build.session import Session
from engine.build.solver import keys
from engine.build.solver.records import CacheStore
from engine.build.solver.work import Outcome
from engine.build.steps import ImageSource
from engine.build.worded import worded
from engine.build.workspace import Holds
from engine.images import platforms
from engine.images.image import Image
from engine.images.platforms import Platform
from engine.images.pull import Pulls
from engine.images.reference import Reference
from engine.images.store import ImageStore
from engine.registry.client import Registry
from engine.registry.credentials import Credentials


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """Where images come from."""

    store: ImageStore
    pulls: Pulls
    registry: Registry
    cache: CacheStore


class BaseImages:
    """Those of one build, each asked for once. With the classic API, what is fetched becomes an image here."""

    def __init__(
        self, shelf: Shelf, request: BuildRequest, session: Session | None, holds: Holds, watch: Watch
    ) -> None:
        self._shelf = shelf
        self._inputs = request.inputs
        self._session = session
        self._holds = holds
        self._watch = watch
        self._anew = request.pull
        self._kept = request.classic
        self._locks: dict[tuple[str, str, Platform], asyncio.Lock] = {}
        self._bases: dict[tuple[str, str, Platform], Base] = {}
        self._refs: dict[str, Ref] = {}
        self._shown: dict[str, str] = {}  # what images that are here are called
        self._remote = RemoteImages(shelf.pulls, shelf.cache, holds, watch)

    async def image(self, name: Reference, platform: Platform, label: str) -> Base:
        """See `Metadata`."""
        return await self._once("", name, platform, label, partial(self._find, name, platform))

    async def layout(self, store: str, name: Reference, platform: Platform, label: str) -> Base:
        """See `Metadata`."""
        if self._session is None:
            raise errdefs.NotFound(f"{name.canonical}: there is no client that has a layout")
        origin = Layout(self._session, store)
        return await self._once(
            store, name, platform, label, lambda _: self._remote.look(name, platform, origin)
        )

    async def _once(
        self,
        store: str,
        name: Reference,
        platform: Platform,
        label: str,
        find: Callable[[str], Awaitable[Base]],
    ) -> Base:
        key = store, name.canonical, platform
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._bases:
                vertex = f"{label} load metadata for {name.canonical}"
                self._bases[key] = await self._told(vertex, find)
            return self._bases[key]

    async def input(self, name: str) -> Base:
        """See `Metadata`."""
        if name not in self._inputs:
            raise errdefs.NotFound(f"invalid input {name}")
        built = await self._inputs[name]()
        self._holds.stand_on(built.ref)
        for layer in built.ref.layers:
            await self._holds.take(layer)
        image = f"input {name}"
        self._refs[image] = built.ref
        source = ImageSource(image=image, shown=name) if built.ref.layers else None
        return Base(source=source, shown=name, config=built.config)

    def local(self, text: str) -> Base | None:
        """The image that an id, or its beginning, means; None for none."""
        found = self._shelf.store.by_prefix(text) if text and set(text) <= set("0123456789abcdefsh:") else []
        return self._here(found[0], text) if len(found) == 1 else None

    def has(self, image: str) -> bool:
        """Whether an image's layers are here, by its id."""
        return image in self._refs

    async def layers(self, image: str, vertex: str) -> Outcome:
        """The layers of an image by its id, held."""
        if image in self._refs:
            return Outcome(output=self._refs[image], cached=True, record=await self._recorded(image))
        return await self._remote.layers(image, vertex)

    async def _recorded(self, image: str) -> str:
        """The record by which the cache has the layers of a registry's image, also when the image goes; "" for others.

        Without it they would have to be fetched again for steps that the cache still has.
        """
        found = None if self._kept else self._shelf.store.find(image)
        if found is None or not found.digests:
            return ""
        return await self._remote.recorded(found, self._shown[image])

    async def _told(self, shown: str, find: Callable[[str], Awaitable[Base]]) -> Base:
        vertex, started = keys.named(shown), time.time_ns()
        await self._watch(VertexState(digest=vertex, name=shown))
        await self._watch(VertexState(digest=vertex, name=shown, started=started))
        try:
            base = await find(vertex)
        except errdefs.WherryError as error:
            failed = VertexState(
                digest=vertex, name=shown, started=started, completed=time.time_ns(), error=error.message
            )
            await self._watch(failed)
            raise
        await self._watch(VertexState(digest=vertex, name=shown, started=started, completed=time.time_ns()))
        return base

    async def _find(self, name: Reference, platform: Platform, vertex: str) -> Base:
        found = None if self._anew else self._shelf.store.named(name)
        if found is not None and _serves(found, platform):
            return self._here(found, name.canonical)
        if self._kept:
            return await self._pulled(name, platform, vertex)
        try:
            repository = self._shelf.registry.repository(name, await self._credentials(name))
            return await self._remote.look(name, platform, repository)
        except errdefs.WherryError as error:
            raise worded(
                error, f"failed to resolve source metadata for {name.canonical}: {error.message}"
            ) from error

    def _here(self, image: Image, shown: str) -> Base:
        """An image that is here, held from now on."""
        for digest in image.blobs:
            self._holds.blobs.keep(digest)
        for layer in image.layers:
            self._holds.layers.hold(layer.chain_id)
        self._shown[image.id] = shown
        self._refs[image.id] = Ref(tuple(map(layer_of, image.layers)))
        source = ImageSource(image=image.id, shown=shown) if image.layers else None
        return Base(source=source, shown=shown, config=image.config)

    async def _pulled(self, name: Reference, platform: Platform, vertex: str) -> Base:
        asked = "" if platform == platforms.host() else platforms.render(platform)
        credentials = await self._credentials(name)
        await self._shelf.pulls.pull(
            name.canonical,
            "",
            platform=asked,
            credentials=credentials,
            progress=PullLines(self._watch, vertex),
        )
        image = self._shelf.store.named(name)
        if image is None:
            raise errdefs.NotFound(f"No such image: {name.familiar}")
        return self._here(image, name.canonical)

    async def _credentials(self, name: Reference) -> Credentials | None:
        given = await self._session.credentials(name.domain) if self._session else None
        if given is None:
            return None
        if given.secret and not given.username:
            return Credentials(identity_token=given.secret)
        return Credentials(username=given.username, password=given.secret)


def _serves(image: Image, platform: Platform) -> bool:
    served = platforms.rank(image.platform, platform) is not None
    return served or platforms.matches(image.platform, platform)
