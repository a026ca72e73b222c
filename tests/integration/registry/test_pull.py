"""Pulling through a proxy that does harm: what is fetched, kept, shared and given back."""

import asyncio
import contextlib
import gzip
import json
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

import errdefs
from engine.images import attempts, sharing
from engine.images.pull import KEPT, Pulls
from engine.images.reference import short_id
from engine.progress import Message, Progress
from engine.registry.client import Registry
from runtime.content.store import Retained
from tests.integration.images.archives import Made, docker_archive, tar
from tests.integration.images.place import Place
from tests.integration.registry.servers import Harm, Proxy, Seen, serve
from tests.registries import DebianRegistry, digest_of
from tests.roots import make_root

pytestmark = pytest.mark.root

LAYERS = [tar({"etc/a": b"a\n"}), tar({"large": random.Random(7).randbytes(2 << 20)}), tar({"etc/c": b"c\n"})]
ZIPPED = [gzip.compress(layer, 1, mtime=0) for layer in LAYERS]
LARGE = digest_of(ZIPPED[1])


def config(layers: list[bytes], **more: Any) -> dict[str, Any]:
    return {"rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}, **more}


class Pulled:
    """A place, pulls into it through a proxy, and what they said."""

    def __init__(self, place: Place, proxy: Proxy, netloc: str, pulls: Pulls) -> None:
        self.place = place
        self.proxy = proxy
        self.netloc = netloc
        self.pulls = pulls
        self.said: list[Message] = []

    async def __call__(self, name: str, tag: str = "1", progress: Progress | None = None) -> list[str]:
        """Pull; what was said, by status and line."""
        self.said = []
        told = progress or self._say
        await self.pulls.pull(f"{self.netloc}/{name}", tag, platform="", credentials=None, progress=told)
        return [message.status for message in self.said]

    async def _say(self, message: Message) -> None:
        self.said.append(message)

    def fetches(self, digest: str) -> list[Seen]:
        """The requests for a blob."""
        return [one for one in self.proxy.seen if one.path.endswith(digest)]

    async def kept(self) -> dict[str, Retained]:
        return await self.place.content.retained()


@pytest.fixture(scope="module")
def filled(plain: DebianRegistry) -> DebianRegistry:
    """The registry with three/layers:1 and two/layers:1, which share two."""
    plain.put_image("three/layers", "1", ZIPPED, **config(LAYERS))
    plain.put_image("two/layers", "1", ZIPPED[:2], **config(LAYERS[:2]))
    return plain


@pytest.fixture
async def pull(
    filled: DebianRegistry, clients: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pulled]:
    """Pulls into an empty place."""
    monkeypatch.setattr(attempts, "_PATIENCE", 0.1)
    root = make_root()
    place = await Place.open(root)
    proxy = Proxy(f"http://{filled.netloc}")
    async with serve(proxy) as netloc:
        yield Pulled(place, proxy, netloc, place.images.pulls(clients(), at_once=3, attempts=3))
    await place.close()
    shutil.rmtree(root)


async def test_what_is_pulled_is_whole_and_alone(pull: Pulled) -> None:
    said = await pull("three/layers")
    assert said[:4] == ["Pulling from three/layers"] + ["Pulling fs layer"] * 3
    assert said[-1] == f"Status: Downloaded newer image for {pull.netloc}/three/layers:1"
    image = pull.place.images.get(f"{pull.netloc}/three/layers:1")
    assert [layer.blob for layer in image.layers] == [digest_of(blob) for blob in ZIPPED]
    assert pull.place.layer_file(image.id, "etc/c", 2) == b"c\n"
    assert await pull.kept() == {}
    await pull.place.images.remove(image.id, force=True)
    assert await pull.place.files() == set()


async def test_a_layer_does_not_wait_for_those_below_it(pull: Pulled) -> None:
    """It is unpacked while the lowest is still on its way; when the pull is given up nothing is left of it."""
    pull.proxy.harms = [Harm(digest_of(ZIPPED[0]), pause=1)]
    snapshots = pull.place.snapshots

    def unpacked() -> set[str]:
        found: set[str] = set()
        for info in snapshots.walk():
            with contextlib.suppress(FileNotFoundError):  # its directory is being made
                found.update(os.listdir(snapshots.upper(info.name)))
        return found

    async with asyncio.TaskGroup() as group:
        going = group.create_task(pull("three/layers"))
        for _ in range(3000):
            if {"large", "etc"} <= unpacked():
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("nothing was unpacked")
        going.cancel()
    assert snapshots.walk() == []


async def test_a_layer_that_fails_ends_those_above_it(pull: Pulled, filled: DebianRegistry) -> None:
    """They wait for it, unpacked."""
    filled.put_image("bad/lowest", "1", ZIPPED, **config([LAYERS[2], *LAYERS[1:]]))
    before = await pull.place.files()
    with pytest.raises(errdefs.InvalidArgument, match="invalid diffID for layer 0"):
        await pull("bad/lowest")
    assert await pull.place.files() == before
    assert await pull.kept() == {}


async def test_what_is_current_is_looked_at_and_not_fetched(pull: Pulled) -> None:
    """Registries that count pulls do not count a HEAD."""
    await pull("three/layers")
    pull.proxy.seen.clear()
    assert (await pull("three/layers"))[-1].startswith("Status: Image is up to date")
    assert [one.method for one in pull.proxy.seen if "manifests" in one.path] == ["HEAD"]
    assert not [one for one in pull.proxy.seen if "blobs" in one.path]


async def test_ten_broken_connections_cost_no_byte_twice(pull: Pulled) -> None:
    pull.proxy.harms = [Harm(LARGE, times=10, cut=150_000)]
    await pull("three/layers")
    ranges = [one.headers.get("range", "bytes=0-") for one in pull.fetches(LARGE)]
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges]
    assert starts == [number * 150_000 for number in range(11)]


async def test_what_came_is_kept_for_the_next_pull(pull: Pulled) -> None:
    pull.proxy.harms = [Harm(LARGE, times=1, cut=700_000), Harm(LARGE, reset=True)]
    with pytest.raises(errdefs.SystemFailure):
        await pull("three/layers")
    pull.proxy.harms = []
    assert set(await pull.kept()) == {digest_of(blob) for blob in ZIPPED}
    assert pull.place.images.count() == 0
    await pull.place.close()
    pull.place = await Place.open(pull.place.root)  # as after a crash
    pull.proxy.seen.clear()
    pull.pulls = pull.place.images.pulls(pull.pulls._registry, at_once=3, attempts=3)
    await pull("three/layers")
    assert [one.headers["range"] for one in pull.fetches(LARGE)] == ["bytes=700000-"]
    assert not pull.fetches(digest_of(ZIPPED[0]))
    assert await pull.kept() == {}


@pytest.mark.parametrize("age", [0.0, KEPT])
async def test_what_nobody_comes_for_is_dropped(
    pull: Pulled, monkeypatch: pytest.MonkeyPatch, age: float
) -> None:
    """After a day, or by a prune at once."""
    pull.proxy.harms = [Harm(LARGE, times=1, cut=700_000), Harm(LARGE, reset=True)]
    with pytest.raises(errdefs.SystemFailure):
        await pull("three/layers")
    await pull.place.images.sweep()
    kept = await pull.kept()
    assert len(kept) == 3, "it has not waited for long"
    freed = sum(each.size for each in kept.values()) + sum((await pull.place.content.walk()).values())
    if age:
        monkeypatch.setattr("engine.images.pull.KEPT", 0.0)
        await pull.place.images.sweep()
    else:
        assert await pull.place.images.collect() == freed >= 700_000
    assert await pull.kept() == {}
    assert await pull.place.files() == set()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_registry_is_asked_again(pull: Pulled, status: int) -> None:
    def busy(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "1"})

    pull.proxy.harms = [Harm(LARGE, times=1, head=busy), Harm("manifests", times=1, head=busy)]
    assert "Retrying in 1 second" in await pull("three/layers")


@pytest.mark.parametrize(
    "harm",
    [
        Harm("manifests", times=2, head=lambda _: web.Response(status=502)),
        Harm("manifests", times=3, reset=True),
        Harm("manifests", times=2, head=lambda _: web.Response(status=429)),
    ],
    ids=["502", "reset", "429"],
)
async def test_a_manifest_that_does_not_come_is_asked_for_again(pull: Pulled, harm: Harm) -> None:
    pull.proxy.harms = [harm]
    await pull("three/layers")
    assert pull.place.images.count() == 1


async def test_who_is_put_off_for_an_hour_hears_it_and_keeps_what_came(pull: Pulled) -> None:
    """A registry that counts pulls has counted enough of them, in the middle of one."""

    def enough(_: web.BaseRequest) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    pull.proxy.harms = [Harm(LARGE, times=1, cut=700_000), Harm(LARGE, head=enough)]
    with pytest.raises(errdefs.SystemFailure, match="toomanyrequests"):
        await pull("three/layers")
    assert (await pull.kept())[LARGE].size >= 700_000


async def test_a_registry_that_knows_no_ranges(pull: Pulled) -> None:
    pull.proxy.harms = [Harm(LARGE, times=1, cut=700_000), Harm(LARGE, without=("range",))]
    await pull("three/layers")
    assert pull.place.images.count() == 1


async def test_another_blob_is_refused_and_dropped(pull: Pulled) -> None:
    pull.proxy.harms = [Harm(LARGE, change=lambda body: bytes(len(body)))]
    with pytest.raises(
        errdefs.SystemFailure, match=f"filesystem layer verification failed for digest {LARGE}"
    ):
        await pull("three/layers")
    assert await pull.kept() == {}
    assert await pull.place.files() == set()


async def test_a_kept_part_that_is_wrong_is_fetched_anew(pull: Pulled) -> None:
    pull.proxy.harms = [Harm(LARGE, times=1, cut=700_000), Harm(LARGE, reset=True)]
    with pytest.raises(errdefs.SystemFailure):
        await pull("three/layers")
    pull.proxy.harms = []
    part = pull.place.root / "content" / "retained" / LARGE.removeprefix("sha256:")
    part.write_bytes(bytes(700_000))
    await pull("three/layers")
    assert await pull.kept() == {}


async def test_two_pulls_share_what_they_have_in_common(pull: Pulled) -> None:
    async def quiet(_: Message) -> None:
        pass

    await asyncio.gather(
        pull("three/layers", progress=quiet), pull("two/layers", progress=quiet), pull("three/layers")
    )
    assert len(pull.fetches(LARGE)) == 1
    assert pull.place.images.count() == 2
    assert await pull.kept() == {}


async def fetching(pull: Pulled) -> None:
    """Wait until the large layer is on its way."""
    async with asyncio.timeout(10):
        while not pull.fetches(LARGE):  # noqa: ASYNC110 - the proxy has no event for it
            await asyncio.sleep(0.01)


async def test_who_goes_away_cancels_unless_another_waits(pull: Pulled) -> None:
    pull.proxy.harms = [Harm(LARGE, times=1, pause=0.01)]
    async with asyncio.TaskGroup() as group:
        first = group.create_task(pull("three/layers"))
        await fetching(pull)
        told = asyncio.Event()

        async def tell(message: Message) -> None:
            if (message.id, message.status) == (short_id(LARGE), "Downloading"):
                told.set()

        second = group.create_task(pull("two/layers", progress=tell))
        await asyncio.wait_for(told.wait(), 20)
        first.cancel()
        await asyncio.wait([first], timeout=20)
        assert first.cancelled()
        await asyncio.sleep(0.2)
        assert not second.done()
        assert len(pull.fetches(LARGE)) == 1
        second.cancel()
    assert pull.place.images.count() == 0
    await pull("two/layers")
    assert len(pull.fetches(LARGE)) == 2


async def test_a_client_that_cannot_be_told_ends_its_pull(pull: Pulled) -> None:
    async def gone(_: Message) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await pull("three/layers", progress=gone)
    assert pull.place.images.count() == 0


async def test_so_many_layers_at_once(pull: Pulled) -> None:
    pull.pulls.configure(at_once=1, attempts=3)
    assert "Waiting" in await pull("three/layers")


async def test_a_layer_that_is_here_of_another_blob(pull: Pulled) -> None:
    """The pulled image has the blobs of its manifest, whatever unpacked the same layers before."""
    await pull.place.load(docker_archive(Made(layers=LAYERS)))
    await pull("three/layers")
    image = pull.place.images.get(f"{pull.netloc}/three/layers:1")
    assert [layer.blob for layer in image.layers] == [digest_of(blob) for blob in ZIPPED]
    for each in (image.id, "made"):
        await pull.place.images.remove(each, force=True)
    assert await pull.place.files() == set()


async def test_what_is_no_image_is_refused(pull: Pulled, filled: DebianRegistry) -> None:
    """Nothing of what is refused is left."""
    wrong = [
        ({}, "layers from manifest don't match image configuration"),
        (
            config(LAYERS[:1], os="windows"),
            'image operating system "windows" cannot be used on this platform',
        ),
        (config(LAYERS[1:2]), "failed to register layer: invalid diffID for layer 0"),
    ]
    for number, (said, text) in enumerate(wrong):
        filled.put_image("wrong/images", str(number), ZIPPED[:1], **{"rootfs": {"diff_ids": []}, **said})
        with pytest.raises(errdefs.InvalidArgument, match=text):
            await pull("wrong/images", str(number))
    assert await pull.place.files() == set()
    assert await pull.kept() == {}


async def test_the_first_schema_is_refused(pull: Pulled) -> None:
    def old(_: web.BaseRequest) -> web.Response:
        return web.Response(
            body=b'{"schemaVersion": 1, "fsLayers": []}',
            headers={"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
        )

    pull.proxy.harms = [Harm("manifests", head=old)]
    with pytest.raises(errdefs.InvalidArgument, match="manifest version 2, schema 1 support is not there"):
        await pull("three/layers")


CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": LARGE, "size": 2}
HOSTILE = [
    ({"manifests": [], "layers": []}, errdefs.InvalidArgument, "both manifests and layers"),
    ({"config": CONFIG, "layers": [{"urls": ["http://169.254.169.254/"]}]}, errdefs.SystemFailure, LARGE),
    ({"config": {**CONFIG, "size": 1 << 40}}, errdefs.InvalidArgument, "larger than"),
    ({"config": {**CONFIG, "digest": "sha512:" + "a" * 128}}, errdefs.InvalidArgument, "sha256"),
    ({"config": {**CONFIG, "mediaType": "application/x"}}, errdefs.InvalidArgument, "unsupported media type"),
    (
        {"config": {**CONFIG, "mediaType": "application/vnd.docker.plugin.v1+json"}},
        errdefs.InvalidArgument,
        r'Encountered remote "application/vnd.docker.plugin.v1\+json"\(plugin\) when fetching',
    ),
    (
        {"config": CONFIG, "layers": [{"mediaType": "application/vnd.oci.images"}]},
        errdefs.InvalidArgument,
        "unsupported media type application/vnd.oci.images",
    ),
    ({"layers": 5}, errdefs.InvalidArgument, "invalid image manifest"),
]


@pytest.mark.parametrize(("document", "failure", "text"), HOSTILE)
async def test_hostile_manifests(
    pull: Pulled, document: dict[str, Any], failure: type[Exception], text: str
) -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    raw = json.dumps({"schemaVersion": 2, "mediaType": kind, **document}).encode()

    def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=raw, headers={"Content-Type": kind})

    pull.proxy.harms = [Harm("manifests", head=answer)]
    with pytest.raises(failure, match=text):
        await pull("three/layers")
    assert await pull.place.files() == set()


async def test_shared_work_is_begun_again_after_it_failed() -> None:
    """Who comes while a failed work is being given up gets another."""
    begun = 0

    @contextlib.asynccontextmanager
    async def work(_: sharing.Report) -> AsyncIterator[int]:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise errdefs.NotFound("first")
        yield begun

    works: sharing.Sharing[int] = sharing.Sharing()

    async def join() -> int:
        async with works.join("key", work, lambda _: None) as result:
            return result

    with pytest.raises(errdefs.NotFound):
        await join()
    assert list(await asyncio.gather(join(), join())) == [2, 2]
    assert await join() == 3
