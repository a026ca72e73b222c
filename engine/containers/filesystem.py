"""The door to what containers have in their files: what they changed, all of it as an archive, or as an image."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from functools import partial

import errdefs
from engine.containers.announce import Announcer
from engine.containers.changes import Change, changed_files
from engine.containers.commit import CommitRequest, plan, write_layer
from engine.containers.container import Container
from engine.containers.export import export, open_root, require_files
from engine.containers.freeze import frozen
from engine.containers.live import Lives
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from engine.images.images import Images


class Filesystem:
    """The files of all containers. NotFound for a container that is not there, in Docker's words."""

    def __init__(
        self,
        machinery: Machinery,
        store: ContainerStore,
        lives: Lives,
        announcer: Announcer,
        images: Images,
    ) -> None:
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._announcer = announcer
        self._images = images

    async def changes(self, reference: str) -> list[Change]:
        """What the container changed of its image's files, directories before what is in them."""
        return await changed_files(self._store.get(reference), self._machinery.snapshots)

    async def export(self, reference: str) -> AsyncIterator[bytes]:
        """The container's root as one archive, in chunks; it may start and end meanwhile.

        Conflict or NotFound if it is being removed, also at the end: the archive is not whole then. Close it
        early with `aclose`.
        """
        container = self._store.get(reference)
        async with self._lives.of(container.id).lock:
            container = self._again(container.id, reference)
            require_files(container, "export")
            root = await open_root(container, self._machinery)
        async with aclosing(export(root, container.identity)) as chunks:  # type: ignore[type-var]
            await self._announcer.tell(container, "export")
            async for chunk in chunks:
                yield chunk
        self._require_whole(container.id, reference, "export")

    async def commit(self, request: CommitRequest) -> str:
        """Make an image of a container; its id. With `pause` it stands still while its files are read.

        InvalidArgument for bad names and changes, Conflict for a container that is being removed, NotFound
        when its image is gone.
        """
        name = self._images.require_name(request.repo, request.tag)
        container = self._store.get(request.container)
        require_files(container, "commit")
        made = plan(container, request)

        async def read() -> None:
            self._require_whole(container.id, request.container, "commit")
            await stack.aclose()

        async with AsyncExitStack() as stack:
            if request.pause:
                live = self._lives.of(container.id)
                await stack.enter_async_context(frozen(container.id, live, self._store, self._announcer))
            layer = partial(write_layer, container, self._machinery.snapshots)
            image = await self._images.commit(made, layer, name, read=read)
        shown = name.with_default_tag().familiar if name else ""
        await self._announcer.tell(
            container, "commit", comment=request.comment, imageID=image.id, imageRef=shown
        )
        return image.id

    def _require_whole(self, container_id: str, reference: str, verb: str) -> None:
        """A removal is recorded before it touches a file: without one, what was read until now is whole."""
        require_files(self._again(container_id, reference), verb)

    def _again(self, container_id: str, reference: str) -> Container:
        container = self._store.find(container_id)
        if container is None:
            raise errdefs.NotFound(f"No such container: {reference}")
        return container
