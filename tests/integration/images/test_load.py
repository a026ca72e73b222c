"""Archives in, images out; and nothing out of bad ones."""

import asyncio
import bz2
import gzip
import json
import lzma
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import zstandard

import errdefs
from engine.filters import Filters
from tests.integration.images.archives import (
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

TWO = [tar({"etc/hello": b"hello\n"}), tar({"etc/more": b"more\n", "etc/.wh.hello": b""})]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "zstd": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


async def test_a_docker_archive(place: Place) -> None:
    made = Made(layers=TWO)
    assert await place.load(docker_archive(made)) == ["Loaded image: made:latest\n"]
    image = place.images.get("made")
    assert image.id == made.id
    assert image.references == ["made:latest"]
    assert image.config.run.cmd == ["sh"]
    assert [layer.diff_id for layer in image.layers] == [digest(layer) for layer in TWO]
    assert image.size == len(b"hello\n") + len(b"more\n")
    assert image.created_text == "2024-01-02T03:04:05Z"
    assert place.layer_file("made", "etc/more", layer=1) == b"more\n"
    assert await place.files() == {*image.blobs, *(layer.chain_id for layer in image.layers)}
    manifest = json.loads(await place.content.read(image.manifest))
    assert manifest["config"] == descriptor(made.config, "application/vnd.oci.image.config.v1+json")
    assert [each["digest"] for each in manifest["layers"]] == [layer.blob for layer in image.layers]
    assert (await place.happened())[-1:] == [f"load {made.id}"]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("chunk", [1 << 20, 1000])
async def test_compressed_on_the_outside(place: Place, packer: str, chunk: int) -> None:
    made = Made()
    await place.load(PACKERS[packer](docker_archive(made)), chunk=chunk)
    assert place.images.get("made").id == made.id


@pytest.mark.parametrize("packer", PACKERS)
async def test_layers_stay_as_they_came(place: Place, packer: str) -> None:
    packed = [PACKERS[packer](layer) for layer in TWO]
    await place.load(docker_archive(Made(layers=TWO, blobs=packed)))
    assert [layer.blob for layer in place.images.get("made").layers] == [digest(each) for each in packed]


async def test_an_oci_layout(place: Place) -> None:
    made = Made(layers=TWO, blobs=[gzip.compress(layer) for layer in TWO], tags=["registry.example/made:1"])
    files = oci_files(made)
    assert await place.load(tar(files)) == ["Loaded image: registry.example/made:1\n"]
    image = place.images.get("registry.example/made:1")
    assert image.id == made.id
    assert f"blobs/{image.manifest.replace(':', '/')}" in files  # its own manifest, not one of our making


@pytest.mark.parametrize(
    ("annotations", "tags"),
    [
        ({"org.opencontainers.image.ref.name": "latest"}, []),
        ({"org.opencontainers.image.ref.name": "docker.io/library/x:1"}, ["x:1"]),
        ({}, []),
    ],
)
async def test_names_in_an_oci_layout(place: Place, annotations: dict[str, str], tags: list[str]) -> None:
    said = await place.load(tar(oci_files(Made(), annotations=annotations)))
    assert place.images.get(Made().id).references == tags
    assert said == ([f"Loaded image: {tags[0]}\n"] if tags else [f"Loaded image ID: {Made().id}\n"])


async def test_an_index_gives_the_image_for_this_machine(place: Place) -> None:
    arm = Made(said={"architecture": "arm64"}, tags=[])
    host = Made(tags=[])
    files = oci_files(arm, host)
    manifests = json.loads(files["index.json"])["manifests"]
    for entry, architecture in zip(manifests, ("arm64", "amd64"), strict=True):
        entry["platform"] = {"os": "linux", "architecture": architecture}
    attestation = {**manifests[0], "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    nested = json.dumps({"manifests": [attestation, *manifests]}).encode()
    files[f"blobs/sha256/{digest(nested)[7:]}"] = nested
    entry = descriptor(nested, "application/vnd.oci.image.index.v1+json")
    files["index.json"] = json.dumps({"manifests": [entry]}).encode()
    await place.load(tar(files))
    assert [each.image.id for each in place.images.list(Filters())] == [host.id]


async def test_several_images_and_no_names(place: Place) -> None:
    first, second = Made(tags=[]), Made(layers=TWO, tags=["two:1", "two:2"])
    assert await place.load(docker_archive(first, second)) == [
        f"Loaded image ID: {first.id}\n",
        "Loaded image: two:1\n",
        "Loaded image: two:2\n",
    ]
    assert place.images.get(second.id).references == ["two:1", "two:2"]


async def test_a_name_that_is_taken_moves(place: Place) -> None:
    old, new = Made(), Made(layers=TWO)
    await place.load(docker_archive(old))
    assert await place.load(docker_archive(new)) == [
        f"The image made:latest already exists, renaming the old one with ID {old.id} to empty string\n",
        "Loaded image: made:latest\n",
    ]
    assert place.images.get("made").id == new.id
    assert place.images.get(old.id).references == []


async def test_what_docker_writes_today(place: Place) -> None:
    """An OCI layout with a manifest.json that points into it."""
    made = Made(layers=TWO)
    manifest = json.loads(manifest_json(made))
    manifest[0]["Config"] = f"blobs/sha256/{made.id[7:]}"
    manifest[0]["Layers"] = [f"blobs/sha256/{digest(layer)[7:]}" for layer in TWO]
    await place.load(tar({**oci_files(made), "manifest.json": json.dumps(manifest).encode()}))
    assert place.images.get("made").id == made.id


async def test_layers_that_are_here_need_not_come_again(place: Place) -> None:
    """Bazel's incremental loader, among others, leaves out what it finds in the daemon."""
    await place.load(docker_archive(Made(layers=TWO[:1], tags=["base:1"])))
    made = Made(layers=TWO)
    files = docker_files(made)
    del files[f"{digest(TWO[0])[7:]}/layer.tar"]
    await place.load(tar(files))
    assert [layer.diff_id for layer in place.images.get("made").layers] == [digest(layer) for layer in TWO]
    await place.images.remove("base:1")
    assert place.layer_file("made", "etc/hello", layer=0) == b"hello\n"
    assert {*place.images.get("made").blobs} <= await place.files()
    await place.images.remove("made")
    with pytest.raises(errdefs.InvalidArgument, match="is missing"):
        await place.load(tar(files))
    assert await place.files() == set()


async def test_a_layer_is_known_on_what_it_stands_on_alone(place: Place) -> None:
    """The same layer on another one is another layer, which the archive has to have."""
    await place.load(docker_archive(Made(layers=TWO)))
    files = docker_files(Made(layers=[TWO[1]], tags=["alone:1"]))
    del files[f"{digest(TWO[1])[7:]}/layer.tar"]
    with pytest.raises(errdefs.InvalidArgument, match="is missing"):
        await place.load(tar(files))


async def test_wanted_platforms_alone(place: Place) -> None:
    arm = Made(said={"architecture": "arm64"}, tags=["arm:1"])
    host = Made(tags=["host:1"])
    await place.images.load(chunks(docker_archive(arm, host)), wanted=["linux/arm64"])
    assert [each.image.id for each in place.images.list(Filters())] == [arm.id]


async def test_progress_unless_quiet(place: Place) -> None:
    made = Made(layers=TWO)
    await place.load(docker_archive(made), quiet=False)
    lines = [message for message in place.said if message.status]
    assert {line.status for line in lines} == {"Loading layer"}
    assert list(dict.fromkeys(line.id for line in lines)) == [digest(layer)[7:19] for layer in TWO]
    assert len(lines) == len({(line.id, line.progress_detail) for line in lines})
    last = lines[-1].progress_detail
    assert last is not None
    assert last.current == last.total == len(TWO[1])
    await place.load(docker_archive(Made(layers=TWO, said={"author": "x"})), quiet=False)
    assert [message.status for message in place.said if message.status] == []  # nothing new to unpack


async def test_foreign_platforms(place: Place) -> None:
    await place.load(docker_archive(Made(said={"architecture": "s390x"})))
    image = place.images.get("made")
    assert image.platform.architecture == "s390x"
    with pytest.raises(errdefs.NotFound, match=r"its platform \(linux/s390x\) does not match"):
        place.images.require_platform(image, "linux/amd64")
    with pytest.raises(errdefs.InvalidArgument, match="cannot load windows image on linux"):
        await place.load(docker_archive(Made(said={"os": "windows"})))


async def test_links_inside_of_the_archive(place: Place) -> None:
    """Docker before 25 wrote a layer once and linked to it."""
    made = Made(layers=[TWO[0]])
    real = f"{digest(TWO[0])[7:]}/layer.tar"
    manifest = json.loads(manifest_json(made))
    manifest[0]["Layers"] = ["other/layer.tar"]
    members: Members = [
        (real, TWO[0]),
        symlink("other/layer.tar", f"../{real}"),
        (f"{made.id[7:]}.json", made.config),
        ("manifest.json", json.dumps(manifest).encode()),
    ]
    await place.load(tar(members))
    assert place.images.get("made").id == made.id


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


async def test_two_at_once_share_their_layers(place: Place) -> None:
    archives = [docker_archive(Made(layers=TWO, tags=[f"x:{n}"], said={"author": str(n)})) for n in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for archive in archives:
            tasks.create_task(place.images.load(_flow(archive)))
    assert place.images.count() == 4
    assert len(place.snapshots.walk()) == 2
    for number in range(4):
        await place.images.remove(f"x:{number}")
    assert await place.files() == set()


async def _flow(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 4096):
        await asyncio.sleep(0)
        yield data[at : at + 4096]


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci-gzip"])
async def test_what_skopeo_writes(place: Place, tmp_path: Path, kind: str) -> None:
    made = Made(layers=TWO, tags=["made:latest"])
    (tmp_path / "in.tar").write_bytes(docker_archive(made))
    target = tmp_path / "out.tar"
    shape = {"docker-archive": f"docker-archive:{target}:again:1"}.get(kind, f"oci-archive:{target}:again:1")
    compress = ["--dest-compress-format=gzip", "--dest-compress"] if kind == "oci-gzip" else []
    source = f"docker-archive:{tmp_path}/in.tar"
    await asyncio.to_thread(_run, "skopeo", "--insecure-policy", "copy", *compress, source, shape)
    await place.load(target.read_bytes())
    image = place.images.get("again:1")
    assert [layer.diff_id for layer in image.layers] == [digest(layer) for layer in TWO]
    assert image.config.run.cmd == ["sh"]
