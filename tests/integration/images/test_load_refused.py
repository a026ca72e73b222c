"""Nothing out of bad archives, and no harm to what was there."""

import asyncio
import gzip
import json
import lzma
import random
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import errdefs
from engine.filters import Filters
from tests.integration.images.archives import (
    TWO,
    Made,
    Members,
    descriptor,
    digest,
    docker_archive,
    docker_files,
    manifest_json,
    oci_files,
    symlink,
    tar,
)
from tests.integration.images.place import Place, chunks

pytestmark = pytest.mark.root


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _edited(**manifest: object) -> bytes:
    made = Made()
    entries = json.loads(manifest_json(made))
    entries[0].update(manifest)
    return tar({**docker_files(made), "manifest.json": json.dumps(entries).encode()})


def _oci_edited(edit: Callable[[dict[str, object]], None]) -> bytes:
    """An OCI layout whose manifest was edited, with its digest put right."""
    files = oci_files(Made())
    index = json.loads(files["index.json"])
    raw = files.pop("blobs/sha256/" + index["manifests"][0]["digest"][7:])
    document = json.loads(raw)
    edit(document)
    changed = json.dumps(document).encode()
    files[f"blobs/sha256/{digest(changed)[7:]}"] = changed
    index["manifests"][0].update(descriptor(changed, index["manifests"][0]["mediaType"]))
    files["index.json"] = json.dumps(index).encode()
    return tar(files)


GOOD = docker_archive(Made())
WRONG_LAYER = Made(blobs=[TWO[1]])
BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "does not contain a manifest.json"),
    "no tar": (b"x" * 2000, "invalid|malformed|not a tar"),
    "no image": (tar({"a": b"b"}), "does not contain a manifest.json"),
    "cut in a member": (GOOD[:1500], "unexpected EOF"),
    "cut gzip": (gzip.compress(GOOD)[:-20], "unexpected EOF|broken|gzip"),
    "broken gzip": (gzip.compress(GOOD)[:200] + b"x" * 200, "invalid archive|not a tar"),
    "broken xz": (lzma.compress(GOOD)[:100] + b"x" * 200, "invalid archive"),
    "null manifest": (tar({"manifest.json": b"null"}), "manifest cannot be null"),
    "manifest is no list": (tar({"manifest.json": b"{}"}), "failed to decode manifest.json"),
    "deep manifest": (tar({"manifest.json": b"[" * 99999 + b"]" * 99999}), "failed to decode"),
    "5 MiB manifest": (tar({"manifest.json": b"[" + b" " * (5 << 20) + b"]"}), "larger than"),
    "layer missing": (_edited(Layers=["gone/layer.tar"]), 'layer "gone/layer.tar" is missing'),
    "config missing": (_edited(Config="gone.json"), 'image config "gone.json" is missing'),
    "config above": (_edited(Config="../../etc/passwd"), "leads out of the archive"),
    "layer above": (_edited(Layers=["a/../../etc/passwd"]), "leads out of the archive"),
    "too few layers": (_edited(Layers=[]), "layers length mismatch: expected 0, got 1"),
    "bad tag": (_edited(RepoTags=["made"]), 'invalid tag "made"'),
    "tag with a control character": (_edited(RepoTags=["made:a\nb"]), "invalid reference format"),
    "tag like an id": (_edited(RepoTags=["sha256:abc"]), "ambiguous tag"),
    "member above": (tar({"../x": b"y"}), "leads out of the archive"),
    "link above": (tar([symlink("a/b", "../../etc/passwd")]), "leads out of the archive"),
    "absolute link": (tar([symlink("a", "/etc/passwd")]), "link out of the archive"),
    "loop of links": (
        tar([symlink("a", "b"), symlink("b", "a"), ("manifest.json", b'[{"Config":"a"}]')]),
        "chain of links",
    ),
    "link to nowhere": (tar([symlink("manifest.json", "b")]), "is missing"),
    "wrong diff id": (docker_archive(WRONG_LAYER), 'invalid diffID for layer 0: expected "sha256:'),
    "10k layers": (
        docker_archive(Made(said={"rootfs": {"type": "layers", "diff_ids": [digest(b"")] * 10_000}})),
        "max depth exceeded",
    ),
    "no rootfs": (docker_archive(Made(said={"rootfs": None})), "no RootFS key"),
    "manifests and layers": (_oci_edited(lambda m: m.update(manifests=[])), "both manifests and layers"),
    "wrong size": (_oci_edited(lambda m: m["layers"][0].update(size=1)), "expected sha256"),  # type: ignore[index]
    "no digest": (_oci_edited(lambda m: m["layers"][0].update(digest="x/../y")), "not a sha256"),  # type: ignore[index]
    "sha512": (
        _oci_edited(lambda m: m["layers"][0].update(digest="sha512:" + "a" * 128)),  # type: ignore[index]
        "not a sha256",
    ),
    "foreign layer": (
        _oci_edited(lambda m: m["layers"][0].update(digest=digest(b"?"), urls=["http://169.254.169.254/"])),  # type: ignore[index]
        "is missing",
    ),
    "other blob under the digest": (
        tar(
            {
                name: b"{}" if name.endswith(Made().id[7:]) else data
                for name, data in oci_files(Made()).items()
            }
        ),
        "image config has digest",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_archives_leave_nothing(place: Place, case: str) -> None:
    archive, reason = BAD[case]
    with pytest.raises(errdefs.InvalidArgument, match=reason):
        await place.load(archive)
    assert await place.files() == set()
    assert place.images.count() == 0


async def test_damaged_archives_leave_nothing(place: Place) -> None:
    """Whatever byte is damaged, an archive is loaded or refused, and what is refused is gone."""
    dice = random.Random(4)
    for packed in (docker_archive(Made()), gzip.compress(docker_archive(Made())), tar(oci_files(Made()))):
        for _ in range(25):
            archive = bytearray(packed)
            archive[dice.randrange(len(archive))] ^= 1 << dice.randrange(8)
            try:
                await place.load(bytes(archive))
            except errdefs.InvalidArgument:
                pass
            for listed in place.images.list(Filters()):
                await place.images.remove(listed.image.id, force=True)
            assert await place.files() == set()


async def test_a_full_disk_leaves_nothing_and_harms_nothing(root: Path) -> None:
    small = root / "small"
    small.mkdir()
    await asyncio.to_thread(_run, "mount", "-t", "tmpfs", "-o", "size=4m", "none", str(small))
    try:
        place = await Place.open(small)
        await place.load(docker_archive(Made()))
        before = await place.files()
        big = Made(layers=[tar({"big": random.Random(1).randbytes(2 << 20)})], tags=["big:1"])
        with pytest.raises(errdefs.SystemFailure, match="No space left"):
            await place.load(docker_archive(big))
        with pytest.raises(errdefs.SystemFailure, match="No space left"):
            await place.images.import_(chunks(random.Random(1).randbytes(9 << 20)))
        assert await place.files() == before
        assert place.images.get("made").id == Made().id
        await place.close()
    finally:
        await asyncio.to_thread(_run, "umount", str(small))


async def test_hostile_layers_leave_nothing(place: Place, root: Path) -> None:
    canary = root / "canary"
    canary.write_text("unharmed")
    hostile: list[Members] = [
        [("../../../../../canary", b"x")],
        [symlink("l", str(root)), ("l/canary", b"x")],
        [(f"{root}/canary", b"x")],
    ]
    for members in hostile:
        try:
            await place.load(docker_archive(Made(layers=[tar(members)])))
            await place.images.remove("made")
        except errdefs.InvalidArgument:
            pass
        assert canary.read_text() == "unharmed"
        assert await place.files() == set()


async def test_a_failure_keeps_what_was_there(place: Place) -> None:
    await place.load(docker_archive(Made(layers=TWO)))
    before = await place.files()
    other = Made(layers=[*TWO, tar({"x": b"y"})], tags=["other:1"])
    other.blobs = [*TWO, b"no tar at all" * 100]
    with pytest.raises(errdefs.WherryError):
        await place.load(docker_archive(other))
    assert await place.files() == before
    assert place.layer_file("made", "etc/hello") == b"hello\n"


async def test_a_layer_that_is_there_keeps_its_blob(place: Place) -> None:
    """Nobody unpacks what an archive brings for it, so it must not become the image's content."""
    await place.load(docker_archive(Made(layers=TWO)))
    poisoned = Made(layers=TWO, blobs=[b"poison" * 999, TWO[1]], tags=["x:1"], said={"author": "x"})
    await place.load(docker_archive(poisoned))
    assert place.images.get("x:1").layers == place.images.get("made").layers
    await place.images.remove("made")
    image = place.images.get("x:1")
    assert await place.files() == {*image.blobs, *(layer.chain_id for layer in image.layers)}


async def test_a_blob_that_a_manifest_names_is_checked_though_its_layer_is_there(place: Place) -> None:
    await place.load(docker_archive(Made(layers=TWO)))
    before = await place.files()
    poisoned = Made(layers=TWO, blobs=[TWO[1], TWO[1]], tags=["x:1"], said={"author": "x"})
    with pytest.raises(errdefs.InvalidArgument, match="invalid diffID for layer 0"):
        await place.load(tar(oci_files(poisoned)))
    assert await place.files() == before
    packed = Made(layers=TWO, blobs=[gzip.compress(each) for each in TWO], tags=["y:1"], said={"author": "y"})
    await place.load(tar(oci_files(packed)))
    image = place.images.get("y:1")
    assert [layer.blob for layer in image.layers] == [digest(each) for each in packed.stored]
    assert image.chain_id == place.images.get("made").chain_id
    assert image.size == place.images.get("made").size


async def test_images_before_a_bad_one_stay(place: Place) -> None:
    good = Made(tags=["good:1"])
    bad = Made(layers=[TWO[1]], blobs=[b"bad" * 1000], tags=["bad:1"])
    with pytest.raises(errdefs.WherryError):
        await place.load(docker_archive(good, bad))
    image = place.images.get("good:1")
    assert await place.files() == {*image.blobs, image.chain_id}


async def test_a_client_that_goes_away_leaves_nothing(place: Place) -> None:
    reached = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield docker_archive(Made(layers=[tar({"big": b"x" * 300_000})]))[:200_000]
        reached.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(place.images.load(half()))
        await reached.wait()
        loading.cancel()
    assert await place.files() == set()
