"""`docker push`: images into registries, with the manifest and the blobs that they came with."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile

import msgspec

import errdefs
from engine import faults
from engine.images import layouts, platforms, reference
from engine.images.abreast import abreast
from engine.images.compressing import Compressing
from engine.images.image import Image
from engine.images.layouts import Descriptor, Manifest
from engine.images.lines import Lines
from engine.images.manifests import patiently
from engine.images.platforms import Platform
from engine.images.reference import Reference, short_id
from engine.images.sharing import Report
from engine.images.uploading import Destination, Parcel, Sendings
from engine.images.workshop import Workshop
from engine.progress import Message, Progress, ProgressDetail
from engine.registry.client import Registry
from engine.registry.credentials import Credentials

STEPS = ("compressed", "blobs", "manifest", "named")  # where the crash tests kill it
_MOUNTS = 3  # repositories from which a blob is tried to be mounted


class Pushes:
    """The door to pushing."""

    def __init__(self, workshop: Workshop, sendings: Sendings, registry: Registry) -> None:
        self.store = workshop.store
        self.content = workshop.content
        self.blobs = workshop.blobs
        self.sendings = sendings
        self.compressing = Compressing(self.store, self.content)
        self._events = workshop.events
        self._registry = registry

    def configure(self, *, at_once: int) -> None:
        """Send so many layers at once (0: all) from now on."""
        self.sendings.configure(at_once=at_once)

    async def push(
        self,
        name: str,
        tag: str,
        *,
        platform: Platform | None,
        credentials: Credentials | None,
        progress: Progress,
    ) -> None:
        """Push an image, or all tags of a repository if neither `name` nor `tag` says which.

        InvalidArgument, NotFound and others in Docker's words, and failures in the registry's; NotFound, too, for
        an image of another platform than asked. Blobs that came before a failure stay in the registry.
        """
        wanted = reference_of(name, tag)
        lines = Lines(progress)
        await lines.during(self._all(wanted, platform, credentials, lines))

    async def put(
        self,
        name: Reference,
        credentials: Credentials | None,
        raw: bytes,
        blobs: Sequence[Descriptor],
        report: Report,
    ) -> None:
        """Have a manifest or an index in a repository, under a tag, with its blobs, which the caller holds.

        Failures in the registry's words.
        """
        uploads = await self._registry.repository(name, credentials, ("push", "pull")).uploads()
        destination = Destination(name=name, credentials=credentials, uploads=uploads)
        parcels = {each.digest: _parcel(short_id(each.digest), each, []) for each in blobs}
        async with abreast([self._put(destination, parcel, report) for parcel in parcels.values()]):
            pass
        media_type = msgspec.json.decode(raw, type=Manifest).media_type
        await patiently(lambda: uploads.put_manifest(name.tag, raw, media_type))

    async def _put(self, destination: Destination, parcel: Parcel, report: Report) -> None:
        async with self.sendings.send(destination, parcel, report):
            pass

    async def _all(
        self, wanted: Reference, platform: Platform | None, credentials: Credentials | None, lines: Lines
    ) -> None:
        if platform:
            self._require_platform(wanted, platform)
        lines.post(Message(status=f"The push refers to repository [{wanted.name}]"))
        names = self._names(wanted)
        repository = self._registry.repository(wanted, credentials, ("push", "pull"))
        destination = Destination(name=wanted, credentials=credentials, uploads=await repository.uploads())
        for name in names:
            await Push(self, destination, lines).run(name)
        image = self.store.named(wanted)
        labels = image.labels if image else {}
        await self._events.publish("image", "push", wanted.familiar, {**labels, "name": wanted.familiar_name})

    def _require_platform(self, wanted: Reference, platform: Platform) -> None:
        image = self.store.named(wanted)
        if image is None:
            raise errdefs.NotFound(f"No such image: {wanted.stored().familiar}")
        platforms.require(image.platform, platform, wanted.familiar)

    def _names(self, wanted: Reference) -> list[Reference]:
        """The tags to push. SystemFailure in Docker's words if there is none."""
        known = [
            name
            for image in self.store.all()
            for name in self.store.names_of(image.id)
            if name.name == wanted.name
        ]
        if not known:
            raise errdefs.SystemFailure(
                f"An image does not exist locally with the tag: {wanted.familiar_name}"
            )
        if wanted.digest:
            raise errdefs.SystemFailure("cannot push a digest reference")
        if wanted.tag:
            return [wanted]
        tags = sorted((name for name in known if name.tag), key=lambda name: name.tag)
        if not tags:
            raise errdefs.SystemFailure(f"no tags to push for {wanted.familiar_name}")
        return tags


class Push:
    """One image on its way."""

    def __init__(self, pushes: Pushes, destination: Destination, lines: Lines) -> None:
        self._pushes = pushes
        self._destination = destination
        self._lines = lines

    async def run(self, name: Reference) -> None:
        """Have the image of that name in the repository, under its tag."""
        pushes = self._pushes
        image = pushes.store.named(name)
        if image is None:
            raise errdefs.SystemFailure(f"tag does not exist: {name.familiar}")
        for layer in reversed(image.layers):
            self._lines.post(Message.step(short_id(layer.diff_id), "Preparing"))
        async with pushes.blobs.session() as held:
            image = await pushes.compressing.run(image.id, held)
            faults.hit("push.compressed")
            raw = await pushes.content.read(image.manifest)
            manifest = layouts.manifest(raw, "image manifest")
            await self._send(image, manifest)
            faults.hit("push.blobs")
            uploads = self._destination.uploads
            await patiently(lambda: uploads.put_manifest(name.tag, raw, image.manifest_type))
            faults.hit("push.manifest")
        self._lines.post(Message(status=f"{name.tag}: digest: {image.manifest} size: {len(raw)}"))
        await self._name(image, name)
        faults.hit("push.named")
        told = {"Tag": name.tag, "Digest": image.manifest, "Size": len(raw)}
        self._lines.post(Message(progress_detail=ProgressDetail(), aux=told))

    async def _send(self, image: Image, manifest: Manifest) -> None:
        """Have all blobs there, side by side; the highest layer is begun first."""
        lines = {layer.blob: short_id(layer.diff_id) for layer in image.layers}
        wanted = {each.digest: each for each in reversed(manifest.layers)}
        sources = self._sources([*wanted, manifest.config.digest])
        works = [
            self._sent(lines.get(digest, short_id(digest)), descriptor, sources[digest])
            for digest, descriptor in wanted.items()
        ]
        async with abreast(works):
            pass
        parcel = _parcel("", manifest.config, sources[manifest.config.digest])
        async with self._pushes.sendings.send(self._destination, parcel, lambda _: None):
            pass

    async def _sent(self, shown: str, descriptor: Descriptor, sources: list[str]) -> None:
        parcel = _parcel(shown, descriptor, sources)
        async with self._pushes.sendings.send(self._destination, parcel, self._lines.post):
            pass

    def _sources(self, digests: Iterable[str]) -> dict[str, list[str]]:
        """Other repositories of the registry that have these blobs, the most alike first.

        Those are known by the digests under which images that have the blob came here, or went from here.
        """
        wanted, target = set(digests), self._destination.name
        found: dict[str, set[str]] = defaultdict(set)
        for image in self._pushes.store.all():
            if shared := image.blobs & wanted:
                known = {name.name for name in self._pushes.store.names_of(image.id) if name.digest}
                known.update(image.repositories)
                for digest in shared:
                    found[digest] |= known - {target.name}
        return {digest: _nearest(found[digest], target) for digest in wanted}

    async def _name(self, image: Image, name: Reference) -> None:
        """Note that the repository has the image, unless it is gone by now."""
        async with self._pushes.store.lock(image.id):
            known = self._pushes.store.find(image.id)
            if known is not None:
                known = known.known_to(name.name)
                await self._pushes.store.save(known, [name.with_digest(image.manifest)])


def reference_of(name: str, tag: str) -> Reference:
    """What `name` and `tag` mean. InvalidArgument for a digest with a tag, and what is no name."""
    found = reference.parse_repo_tag(name, tag) if tag else None
    return found or reference.parse(name)


def _parcel(shown: str, descriptor: Descriptor, sources: list[str]) -> Parcel:
    return Parcel(shown=shown, digest=descriptor.digest, size=descriptor.size, sources=sources)


def _nearest(names: Iterable[str], target: Reference) -> list[str]:
    """The paths of a few repositories of the target's registry, those first that share the most components."""
    start = f"{target.domain}/"
    paths = [name.removeprefix(start) for name in names if name.startswith(start)]
    return sorted(paths, key=lambda path: (-_alike(path, target.path), path))[:_MOUNTS]


def _alike(path: str, other: str) -> int:
    """How many components two paths share at their beginning."""
    pairs = zip(path.split("/"), other.split("/"), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
