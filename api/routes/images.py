"""Images: list, inspect, history, load, save, tag, remove."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import errdefs
from api import archives, web
from api.call import Call
from api.jsonstream import JSONStream
from api.routing import Route
from api.schema import images as schema
from api.schema import platforms
from engine import filters
from engine.filters import Filters
from engine.images.history import Step
from engine.images.image import Image
from engine.images.listing import FILTERS, Listed
from engine.images.platforms import Platform, render, require
from engine.progress import Progress


class Removed(Protocol):
    """One thing that a removal did: one of the two is set."""

    @property
    def untagged(self) -> str:
        """A name that is gone."""

    @property
    def deleted(self) -> str:
        """An image that is gone."""


class Images(Protocol):
    """What these routes need of the engine's images."""

    def get(self, reference: str, /) -> Image:
        """By name, ID or prefix."""

    def users(self, image: Image, /) -> list[str]:
        """The IDs of its containers."""

    def list(self, filters: Filters, /, *, all_images: bool = False) -> list[Listed]:
        """Newest first."""

    def history(self, reference: str, /) -> Sequence[Step]:
        """The steps by which it came to be, the latest first."""

    async def load(
        self, archive: AsyncIterator[bytes], /, *, quiet: bool, progress: Progress, wanted: Sequence[str]
    ) -> None:
        """Take the images of a `docker save` archive, those alone for a platform of `wanted` if it names any."""

    def save(self, names: Sequence[str], wanted: Sequence[Platform], /) -> AsyncIterator[bytes]:
        """Images as one archive."""

    async def tag(self, reference: str, repo: str, tag: str, /) -> None:
        """Give it another name."""

    async def remove(self, reference: str, /, *, force: bool, prune: bool) -> Sequence[Removed]:
        """Take a name, or the image, away."""


class ImageRoutes:
    """Routes of images. `driver` is what the snapshotter is called."""

    def __init__(self, images: Images, driver: str) -> None:
        self._images = images
        self._driver = driver

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("GET", "/images/json", self.list),
            Route("POST", "/images/load", self.load),
            Route("GET", "/images/get", self.save),
            Route("GET", "/images/{name}/get", self.save_one),
            Route("GET", "/images/{name}/json", self.inspect),
            Route("GET", "/images/{name}/history", self.history),
            Route("POST", "/images/{name}/tag", self.tag),
            Route("DELETE", "/images/{name}", self.remove),
        ]

    async def list(self, call: Call) -> web.StreamResponse:
        """Images by Docker's filters."""
        wanted = filters.parse(call.query.text("filters"), FILTERS)
        if call.version.before("1.41"):
            wanted = _with_legacy_filter(wanted, call.query.text("filter"))
        shared = _asks(call, "shared-size", "1.42")
        manifests = _asks(call, "manifests", "1.47")
        identity = _asks(call, "identity", "1.54")
        if identity and not manifests:
            raise errdefs.InvalidArgument("conflicting options: identity requires manifests=1")
        listed = self._images.list(wanted, all_images=call.query.flag("all"))
        asked = {"shared": shared, "manifests": manifests, "identity": identity}
        return call.answer([schema.summary(each, call.version, **asked) for each in listed])

    async def inspect(self, call: Call) -> web.StreamResponse:
        """All about one image."""
        manifests = _asks(call, "manifests", "1.48")
        platform = platforms.one(call.query.text("platform"), call.version, "1.49")
        if manifests and platform is not None:
            raise errdefs.InvalidArgument(
                "conflicting options: manifests and platform options cannot both be set"
            )
        image = self._found(call.name, platform)
        users = self._images.users(image) if manifests else None
        return call.answer(schema.inspect(image, call.version, self._driver, users=users))

    async def history(self, call: Call) -> web.StreamResponse:
        """The steps by which one image came to be."""
        platform = platforms.one(call.query.text("platform"), call.version, "1.48")
        image = self._found(call.name, platform)
        return call.answer([schema.step(each) for each in self._images.history(image.id)])

    async def load(self, call: Call) -> web.StreamResponse:
        """Images from an archive. Failures travel in the stream, as in Docker."""
        wanted = platforms.wanted(call.query.all("platform"), call.version)
        stream = JSONStream(call)
        try:
            await self._images.load(
                call.chunks(),
                quiet=call.query.flag("quiet", default=True),
                progress=stream,
                wanted=[render(each) for each in wanted],
            )
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - the top frame of a load
            return await stream.fail(error, "image load", by_status=False)
        return await stream.end()

    async def save(self, call: Call) -> web.StreamResponse:
        """Several images as one archive."""
        return await self._save(call, call.query.all("names"))

    async def save_one(self, call: Call) -> web.StreamResponse:
        """An image as an archive."""
        return await self._save(call, [call.name])

    def _check_platforms(self, name: str, wanted: Sequence[Platform]) -> None:
        """An image is for one platform here: to remove what it has for that is to remove it."""
        if len(wanted) > 1:
            raise errdefs.InvalidArgument("multiple platforms are not supported")
        for platform in wanted:
            self._found(name, platform)

    def _found(self, name: str, platform: Platform | None) -> Image:
        image = self._images.get(name)
        if platform is not None:
            require(image.platform, platform, name)
        return image

    async def _save(self, call: Call, names: Sequence[str]) -> web.StreamResponse:
        wanted = platforms.wanted(call.query.all("platform"), call.version)
        return await archives.send(call, self._images.save(names, wanted))

    async def tag(self, call: Call) -> web.StreamResponse:
        """Another name for an image."""
        repo = call.query.text("repo")
        if not repo:
            raise errdefs.InvalidArgument("invalid reference format")
        await self._images.tag(call.name, repo, call.query.text("tag"))
        return web.Response(status=201)

    async def remove(self, call: Call) -> web.StreamResponse:
        """Take away a name of an image, or the image."""
        if not call.name.strip():
            raise errdefs.InvalidArgument("image name cannot be blank")
        if not call.version.before("1.50"):
            self._check_platforms(call.name, [platforms.parse(text) for text in call.query.all("platforms")])
        removed = await self._images.remove(
            call.name, force=call.query.flag("force"), prune=not call.query.flag("noprune")
        )
        return call.answer([removal(each) for each in removed])


def _with_legacy_filter(wanted: Filters, name: str) -> Filters:
    """Before 1.41 the name to look for had a parameter of its own."""
    if not name or "reference" in wanted:
        return wanted
    return Filters.of(**{key: wanted.values(key) for key in wanted.keys()}, reference=[name])  # noqa: SIM118


def removal(removed: Removed) -> dict[str, str]:
    """A line of the answer to a removal."""
    return {"Untagged": removed.untagged} if removed.untagged else {"Deleted": removed.deleted}


def _asks(call: Call, flag: str, since: str) -> bool:
    """Whether a flag is set that there is since a version."""
    return not call.version.before(since) and call.query.flag(flag)
