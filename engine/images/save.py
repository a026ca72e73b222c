"""`docker save`: images as one archive, Docker's and an OCI layout at once, streamed as their blobs are stored."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import aiofiles
import msgspec

import errdefs
from engine.events import Events
from engine.images import archive_index, layouts, platforms, reference
from engine.images.announce import announce
from engine.images.archive_index import Saved
from engine.images.holds import BlobHolds
from engine.images.image import Image
from engine.images.platforms import Platform
from engine.images.reference import Reference
from engine.images.store import ImageStore
from runtime.content.store import ContentStore
from runtime.layers.archive import END, Entry, encode, padding
from runtime.layers.header import DIRECTORY

_CHUNK = 1 << 20


class Choice(msgspec.Struct):
    """An image to save, with the names to save it under; none if it was asked for by its id."""

    image: Image
    names: list[Reference] = msgspec.field(default_factory=list)


def choose(store: ImageStore, names: Sequence[str], wanted: Sequence[Platform] = ()) -> list[Choice]:
    """The images that these names mean, each once, in the order asked.

    A repository without a tag means all its tags. NotFound in Docker's words, also for an image that is for
    none of the `wanted` platforms; InvalidArgument for what is no name.
    """
    chosen: dict[str, Choice] = {}
    for text in names:
        for image, name in _meant(store, text):
            if wanted and not any(platforms.matches(image.platform, each) for each in wanted):
                platforms.require(image.platform, wanted[0], text)
            choice = chosen.setdefault(image.id, Choice(image))
            if name is not None and name not in choice.names:
                choice.names.append(name)
    return list(chosen.values())


def _meant(store: ImageStore, text: str) -> list[tuple[Image, Reference | None]]:
    found = reference.parse_any(text)
    if isinstance(found, str):
        return [(_by_id(store, found), None)]
    if found.familiar_name == "sha256":
        return [(_by_prefix(store, text), None)]
    if not found.tag and not found.digest:
        tagged = _tags_of(store, found)
        return tagged or [(_by_prefix(store, text), None)]
    image = store.named(found)
    if image is None:
        raise errdefs.NotFound("reference does not exist")
    return [(image, None if found.digest else found)]


def _by_id(store: ImageStore, image_id: str) -> Image:
    image = store.find(image_id)
    if image is None:
        raise errdefs.NotFound(f"No such image: {image_id}")
    return image


def _by_prefix(store: ImageStore, text: str) -> Image:
    candidates = store.by_prefix(text)
    if len(candidates) != 1:
        raise errdefs.NotFound(f"No such image: {text}")
    return candidates[0]


def _tags_of(store: ImageStore, repository: Reference) -> list[tuple[Image, Reference | None]]:
    return [
        (image, name)
        for image in store.all()
        for name in store.names_of(image.id)
        if name.name == repository.name and name.tag
    ]


class Save:
    """One request to save."""

    def __init__(self, content: ContentStore, blobs: BlobHolds, events: Events) -> None:
        self._content = content
        self._blobs = blobs
        self._events = events

    async def run(self, chosen: Sequence[Choice]) -> AsyncIterator[bytes]:
        """The archive, in chunks of up to a megabyte. The images may be removed meanwhile: their blobs stay.

        SystemFailure when the disk does not give a blob. Close it early with `aclose`.
        """
        async with self._blobs.session() as held:
            for choice in chosen:
                for digest in choice.image.blobs:
                    held.keep(digest)
            saved = [Saved(each.image, each.names, await self._manifest(each.image)) for each in chosen]
            for choice in chosen:
                await announce(self._events, "save", choice.image)
            members = archive(self._content, _blobs_of(chosen), archive_index.documents(saved))
            async with aclosing(members) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _manifest(self, image: Image) -> bytes:
        return await self._content.read(image.manifest)


async def archive(
    content: ContentStore, blobs: Mapping[str, int], documents: Mapping[str, bytes]
) -> AsyncGenerator[bytes, None]:
    """A layout as one archive, in chunks of up to a megabyte: blobs, each with its time, then documents by name.

    The blobs must be held. SystemFailure when the disk does not give one.
    """
    for directory in ("blobs", "blobs/sha256") if blobs else ():
        yield encode(Entry(name=directory.encode(), type=DIRECTORY, mode=0o755))
    for digest, created in sorted(blobs.items()):
        async for chunk in _blob(content, digest, created):
            yield chunk
    for name, document in documents.items():
        header = encode(Entry(name=name.encode(), size=len(document)))
        yield header + document + padding(len(document))
    yield END


async def _blob(content: ContentStore, digest: str, created: int) -> AsyncIterator[bytes]:
    try:
        async with aiofiles.open(content.path(digest), "rb", buffering=0) as blob:
            size = os.fstat(blob.fileno()).st_size
            yield encode(Entry(name=layouts.blob_path(digest).encode(), size=size, mtime=created))
            left = size
            while left:
                chunk = await blob.read(min(left, _CHUNK))
                if not chunk:
                    raise errdefs.SystemFailure(f"the blob {digest} is shorter than it was")
                left -= len(chunk)
                yield chunk
            yield padding(size)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot read the blob {digest}: {error.strerror}") from error


def _blobs_of(chosen: Sequence[Choice]) -> dict[str, int]:
    """Each digest once, with the time that its member gets in Unix seconds: when its first image was created."""
    found: dict[str, int] = {}
    for choice in chosen:
        for digest in choice.image.blobs:
            created = max(choice.image.created // 10**9, 0)
            found.setdefault(digest, 0 if digest == choice.image.manifest else created)
    return found
