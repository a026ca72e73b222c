"""Removing names of images, and images: what is refused, what goes."""

from collections.abc import Iterable, Sequence

import msgspec

import errdefs
from engine import faults
from engine.images import reference
from engine.images.announce import announce
from engine.images.image import Image
from engine.images.reference import Reference, short_id
from engine.images.users import Users
from engine.images.workshop import Workshop

STEPS = ("delete", "layers", "content")  # where the crash tests kill a removal; beside them "untag"


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer: a name that is gone, or an image or layer that is ("" for the other)."""

    untagged: str = ""
    deleted: str = ""


class Removal:
    """One request to remove an image. `run` answers what went, in Docker's order.

    `freed` are the bytes of layers and blobs that went with it.
    """

    def __init__(self, workshop: Workshop, users: Users, *, force: bool, prune: bool) -> None:
        self._store = workshop.store
        self._layers = workshop.layers
        self._blobs = workshop.blobs
        self._events = workshop.events
        self._users = users
        self._force = force
        self._prune = prune
        self._removed: list[Removed] = []
        self.freed = 0

    async def run(self, image: Image, asked: str) -> list[Removed]:
        """Remove what `asked` names of the image. Conflict, with Docker's texts, for what is in use."""
        names = self._store.names_of(image.id)
        if image.id.startswith(asked) or image.id.removeprefix("sha256:").startswith(asked):
            going = names if _single(names) else []
            await self._delete(image, force=self._force, quiet=False, going=going)
            return self._removed
        self._require_name_unused(image, names, asked)
        name = reference.parse(asked).stored()
        going = [name, *_digests_left(names, name)]
        if set(names) - set(going):
            await self._untag(image, going)
        else:
            await self._delete(image, force=self._force, quiet=True, going=going, told=[name])
        return self._removed

    async def _untag(
        self, image: Image, going: list[Reference], told: Sequence[Reference] | None = None
    ) -> None:
        await self._store.unname(going)
        faults.hit("rmi.untag")
        await self._tell_untagged(image, going, going[:1] if told is None else told)

    async def _tell_untagged(
        self, image: Image, names: Iterable[Reference], told: Sequence[Reference] | None = None
    ) -> None:
        """Answer that names are gone, and publish it: of those in `told`, or of all."""
        for name in names:
            self._removed.append(Removed(untagged=name.familiar))
            if told is None or name in told:
                await announce(self._events, "untag", image)

    async def _delete(
        self,
        image: Image,
        *,
        force: bool,
        quiet: bool,
        going: list[Reference] | None = None,
        told: Sequence[Reference] | None = None,
    ) -> None:
        """Delete an image and the names that are `going`, at once; those alone, if it is in use."""
        going = going or []
        others = set(self._store.names_of(image.id)) - set(going)
        try:
            self._require_unused(image, references=bool(others) and not force, stopped=not force)
        except _InUse as conflict:
            if not quiet:
                raise
            if going:
                await self._untag(image, going, told)
            if others or self._store.children(image.id) or conflict.by_container:
                return
            raise
        await self._delete_now(image, told)
        if self._prune and image.parent:
            async with self._store.lock(image.parent):
                parent = self._store.find(image.parent)
                if parent is not None:
                    await self._delete(parent, force=False, quiet=True)

    async def _delete_now(self, image: Image, told: Sequence[Reference] | None) -> None:
        names = self._store.names_of(image.id)
        await self._store.delete(image)
        faults.hit("rmi.delete")
        await self._tell_untagged(image, names, told)
        await announce(self._events, "delete", image, labels=False)
        self._removed.append(Removed(deleted=image.id))
        sizes = {layer.chain_id: layer.size for layer in image.layers}
        gone = await self._layers.prune(list(sizes))
        self._removed += [Removed(deleted=chain_id) for chain_id in gone]
        self.freed += sum(sizes[chain_id] for chain_id in gone)
        faults.hit("rmi.layers")
        self.freed += await self._blobs.drop(image.blobs)
        faults.hit("rmi.content")

    def _require_name_unused(self, image: Image, names: list[Reference], asked: str) -> None:
        user = next(iter(self._users(image.id)), None)
        if self._force or user is None or not _single(names):
            return
        raise errdefs.Conflict(
            f'conflict: unable to remove repository reference "{asked}" (must force) - container '
            f"{short_id(user.id)} is using its referenced image {short_id(image.id)}"
        )

    def _require_unused(self, image: Image, *, references: bool, stopped: bool) -> None:
        users = list(self._users(image.id))
        running = next((user for user in users if user.running), None)
        idle = next((user for user in users if not user.running), None)
        if self._store.children(image.id):
            raise _InUse(image, "cannot be forced", "image has dependent child images")
        if running is not None:
            reason = f"image is being used by running container {short_id(running.id)}"
            raise _InUse(image, "cannot be forced", reason, by_container=True)
        if references:
            raise _InUse(image, "must be forced", "image is referenced in multiple repositories")
        if stopped and idle is not None:
            reason = f"image is being used by stopped container {short_id(idle.id)}"
            raise _InUse(image, "must be forced", reason, by_container=True)


class _InUse(errdefs.Conflict):
    def __init__(self, image: Image, remedy: str, reason: str, *, by_container: bool = False) -> None:
        super().__init__(f"conflict: unable to delete {short_id(image.id)} ({remedy}) - {reason}")
        self.by_container = by_container


def _digests_left(names: list[Reference], name: Reference) -> list[Reference]:
    """The digests of a repository that go with a name, since it is the last tag there."""
    same = [each for each in names if each.name == name.name and each != name]
    return [] if name.digest or any(each.tag for each in same) else same


def _single(names: list[Reference]) -> bool:
    """Whether all names are of one repository and at most one is a tag; False for none."""
    tags = [name for name in names if name.tag]
    return bool(names) and len(tags) <= 1 and len({name.name for name in names}) == 1
