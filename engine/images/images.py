"""Images: the door through which the rest of the engine and the API make, move and remove them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager

import errdefs
from engine.database import Database
from engine.events import Events
from engine.images import platforms, reference
from engine.images.announce import announce
from engine.images.catalogue import Catalogue
from engine.images.commit import Commit, Committer, LayerWriter
from engine.images.fsck import Fsck
from engine.images.holds import BlobHolds
from engine.images.image import Image
from engine.images.import_archive import Import, default_platform
from engine.images.layers import Layers
from engine.images.load import Load
from engine.images.locked import Locked
from engine.images.platforms import Platform
from engine.images.pull import Pulls
from engine.images.push import Pushes
from engine.images.reference import Reference
from engine.images.registration import Registrar
from engine.images.remove import Removal, Removed
from engine.images.save import Save, choose
from engine.images.store import ImageStore
from engine.images.tag import require_tag, tag
from engine.images.transfer import Downloads
from engine.images.uploading import Sendings
from engine.images.usage import Stored, measure
from engine.images.users import AllUsers, Users
from engine.images.workshop import Keeper, Nobody, Workshop
from engine.progress import Progress, ignore
from engine.registry.client import Registry
from runtime.content.store import ContentStore
from runtime.snapshots.snapshotter import Snapshotter

_NOBODY = Nobody()


class Images(Catalogue):
    """The images of this engine. Made by `open`."""

    def __init__(
        self,
        store: ImageStore,
        content: ContentStore,
        snapshots: Snapshotter,
        events: Events,
        users: Users,
        keeper: Keeper,
    ) -> None:
        super().__init__(store, users)
        self._content = content
        self._events = events
        self._all_users = AllUsers(users)
        self._keeper = keeper
        self._layers = Layers(snapshots, lambda: store.layers() | keeper.layers())
        self._blobs = BlobHolds(content, lambda: store.blobs() | keeper.blobs())
        self._snapshots = snapshots
        self._fsck = Fsck(store, content, self._layers, self._blobs)
        self.workshop = Workshop(
            store=store,
            content=content,
            layers=self._layers,
            blobs=self._blobs,
            registrar=Registrar(store, content, self._layers),
            events=events,
        )
        """For the parts of the engine that make images of their own."""

    @classmethod
    async def open(
        cls,
        database: Database,
        content: ContentStore,
        snapshots: Snapshotter,
        events: Events,
        users: Users,
        keeper: Keeper = _NOBODY,
    ) -> "Images":
        """The images of a database that has `store.SCHEMA`; what a crash left of others is for `sweep`.

        `users` tells the containers of an image, by its id, from then on; `keeper` what else is to stay.
        """
        images = cls(ImageStore(database), content, snapshots, events, users, keeper)
        await images._fsck.boot()
        return images

    def pulls(self, registry: Registry, *, at_once: int, attempts: int) -> Pulls:
        """The door to pulling into these images, `at_once` layers at a time, each in so many attempts."""
        downloads = Downloads(self._content, self._blobs, at_once=at_once, attempts=attempts)
        return Pulls(self.workshop, downloads, registry)

    def pushes(self, registry: Registry, *, at_once: int) -> Pushes:
        """The door to pushing these images, `at_once` layers at a time."""
        return Pushes(self.workshop, Sendings(self._content, at_once=at_once), registry)

    async def stored(self) -> Stored:
        """What all of them take of the disk, without what only others have."""
        stored = await measure(self._store, self._content, self._snapshots)
        return stored.without(
            self._keeper.layers() - self._store.layers(), self._keeper.blobs() - self._store.blobs()
        )

    async def load(
        self,
        archive: AsyncIterator[bytes],
        *,
        quiet: bool = True,
        progress: Progress = ignore,
        wanted: Sequence[str] = (),
    ) -> None:
        """Load the images of an archive, those alone that are for a platform of `wanted` if it names any.

        InvalidArgument for a broken, hostile or foreign archive; images before the bad one stay.
        """
        asked = [platforms.parse(each) for each in wanted]
        await Load(self.workshop, progress, quiet=quiet, wanted=asked).run(archive)

    def save(self, names: Sequence[str], wanted: Sequence[Platform] = ()) -> AsyncIterator[bytes]:
        """Images as one archive that `load`, Docker and readers of OCI layouts take, in chunks as they are read.

        NotFound and InvalidArgument for the names, and NotFound for an image that is for none of the `wanted`
        platforms, at once. From the first chunk on a removal does not matter.
        """
        chosen = choose(self._store, names, wanted)
        return Save(self._content, self._blobs, self._events).run(chosen)

    async def import_(
        self,
        archive: AsyncIterator[bytes],
        *,
        repo: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
    ) -> str:
        """Make an image of a root filesystem's archive; its id.

        InvalidArgument for bad names and changes, before a byte is read, and for a bad archive.
        """
        name = self.require_name(repo, tag)
        image = await Import(self.workshop).run(
            archive,
            names=[name] if name else [],
            message=message or "Imported from -",
            changes=list(changes),
            platform=default_platform(platform),
        )
        if name is not None:
            await announce(self._events, "tag", image, name.familiar)
        await announce(self._events, "import", image)
        return image.id

    def require_name(self, repo: str, tag_name: str) -> Reference | None:
        """The name that a new image is to get, None for none. InvalidArgument for one that cannot be."""
        name = reference.parse_repo_tag(repo, tag_name)
        if name is not None:
            require_tag(name)
        return name

    async def commit(
        self,
        asked: Commit,
        layer: LayerWriter,
        name: Reference | None,
        *,
        read: Callable[[], Awaitable[None]],
    ) -> Image:
        """Make an image of a container's: its record. `read` is called once the layer's archive is written.

        NotFound when the container's image is gone.
        """
        parent = self.get(asked.parent) if asked.parent else None
        image = await Committer(self.workshop).run(asked, parent, layer, [name] if name else [], read)
        if name is not None:
            await announce(self._events, "tag", image, name.familiar)
        return image

    async def tag(self, name: str, repo: str, tag_name: str) -> None:
        """Give an image another name. InvalidArgument for one that cannot be, NotFound for no image."""
        wanted = reference.parse_repo_tag(repo, tag_name)
        if wanted is None:
            raise errdefs.InvalidArgument("invalid reference format")
        require_tag(wanted)
        async with Locked(lambda: self.get(name), self._store) as image:
            await tag(self._store, self._events, image, wanted)

    async def remove(self, name: str, *, force: bool = False, prune: bool = True) -> list[Removed]:
        """Remove a name, or an image and with `prune` its unnamed parents; what went.

        NotFound, or Conflict with Docker's texts for what is in use.
        """
        removed, _ = await self.reclaim(name, force=force, prune=prune)
        return removed

    async def reclaim(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> tuple[list[Removed], int]:
        """Remove as `remove` does; what went, and the bytes that were given back."""
        if not name.strip():
            raise errdefs.InvalidArgument("image name cannot be blank")
        async with Locked(lambda: self._removable(name), self._store) as image:
            removal = Removal(self.workshop, self._all_users, force=force, prune=prune)
            return await removal.run(image, name), removal.freed

    @asynccontextmanager
    async def taken(self, image: Image | None, container_id: str) -> AsyncIterator[None]:
        """The image, if there is one, is of a container that is being made, and not removed meanwhile but by force.

        NotFound if it has gone.
        """
        if image is None:
            yield
            return
        with ExitStack() as taken:
            async with self._store.lock(image.id):
                self.get(image.id)
                taken.enter_context(self._all_users.coming(image.id, container_id))
            yield

    async def sweep(self) -> None:
        """Remove what a crash has left, and what pulls left a day ago. At boot, after containers' own snapshots.

        Layers below those stay, whether an image has them or not.
        """
        await self._fsck.sweep()

    async def collect(self, age: float = 0.0) -> int:
        """Remove what nothing refers to, and what pulls left so many seconds ago; the bytes that were given back."""
        return await self._fsck.collect(age)

    async def touch(self, image_id: str) -> None:
        """Note, to a minute or so, that an image was of use until now."""
        await self._store.touch(image_id)

    async def release(self, chain_id: str) -> None:
        """A container that stood on this layer is gone: remove what only it kept, of images removed by force."""
        await self._layers.release(chain_id)

    def _removable(self, name: str) -> Image:
        """The image of a name as of `get`; a lost one can be removed, too."""
        try:
            return self.get(name)
        except errdefs.NotFound:
            lost = self._store.lost_as(name)
            if len(lost) != 1:
                raise
            return lost[0]
