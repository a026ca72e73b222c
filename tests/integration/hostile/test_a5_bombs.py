"""A5: what unpacks to more than anybody has, by every door: it ends soon, costs no memory and leaves nothing."""

import gzip
import json

import pytest

from tests.integration.hostile import bombs
from tests.integration.hostile.doors import Gate, bring_by_each, pull_door
from tests.integration.images.archives import Made, docker_archive, docker_files
from tests.integration.images.archives import tar as files_tar
from tests.integration.storage.archives import member, raw, tar

pytestmark = pytest.mark.root
PLAIN = tar([member("f", data=b"honest")])


def layer(stored: bytes) -> Made:
    """An image whose layer is stored so; what it unpacks to nobody lives to see."""
    return Made(layers=[PLAIN], blobs=[stored])


@pytest.mark.timeout(300)
def test_a_hundred_gigabytes_of_zeros_in_a_layer(gate: Gate) -> None:
    """For other compressions, and smaller ones, see the storage tests."""
    stored = bombs.bomb("zstd", 100)
    assert len(stored) < 11 << 20
    assert "compressed more than 200 to 1" in pull_door(gate, layer(stored)).error


@pytest.mark.timeout(300)
def test_a_hundred_gigabytes_around_an_archive(gate: Gate) -> None:
    stored = bombs.zeros("zstd", 100, docker_archive(Made()))
    assert "unpacks to more than 200 times its size" in gate.load(stored).error


@pytest.mark.parametrize("kind", bombs.PACK)
def test_zeros_as_honest_tools_pack_them(gate: Gate, kind: str) -> None:
    """So many of them are no bomb, and take no memory and no disk."""
    plain = bombs.header(128 << 20) + bytes((128 << 20) + 1024)
    outcome = gate.import_(bombs.PACK[kind](plain))
    assert outcome.error == ""
    found = gate.look(outcome.image, "bomb").stat()
    assert (found.st_size, found.st_blocks < 1 << 13) == (128 << 20, True)


@pytest.mark.parametrize("levels", [2, 20])
def test_gzip_in_gzip(gate: Gate, levels: int) -> None:
    packed = PLAIN
    for _ in range(levels):
        packed = gzip.compress(packed)
    for door, outcome in bring_by_each(gate, layer(packed)):
        assert "archive" in outcome.error, door
    assert "invalid archive" in gate.load(gzip.compress(gzip.compress(docker_archive(Made())))).error


SPARSE = {
    "of 8 EB": {"GNU.sparse.size": str((1 << 63) - 1), "GNU.sparse.map": "0,0"},
    "beyond all numbers": {"GNU.sparse.size": "9" * 40, "GNU.sparse.map": "0,0"},
    "of a map that overlaps": {"GNU.sparse.size": "9", "GNU.sparse.map": "0,5,3,5"},
    "of a map that is longer": {"GNU.sparse.size": "2", "GNU.sparse.map": "0,5"},
    "of half a million parts": {"GNU.sparse.size": "9", "GNU.sparse.map": "0,0," * 250_000 + "0,0"},
}


@pytest.mark.parametrize("case", SPARSE)
def test_a_sparse_file(gate: Gate, case: str) -> None:
    plain = tar([member("f", data=b"12345", pax_headers=SPARSE[case])])
    for door, outcome in bring_by_each(gate, Made(layers=[plain])):
        assert outcome.error, door


WINDOWS = {
    "zstd, 2 GiB": bombs.zstd_frame(PLAIN, 31),
    "zstd, 256 MiB": bombs.zstd_frame(PLAIN, 28),
    "xz, 1.5 GiB": bombs.xz_stream(PLAIN, 3 << 29),
    "xz, 192 MiB": bombs.xz_stream(PLAIN, 192 << 20),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_a_window_that_nobody_has(gate: Gate, case: str) -> None:
    for door, outcome in bring_by_each(gate, layer(WINDOWS[case])):
        assert "the compressed stream is broken" in outcome.error, door


@pytest.mark.parametrize("window_log", [28, 31])
def test_a_window_that_nobody_has_around_an_archive(gate: Gate, window_log: int) -> None:
    assert "invalid archive: zstd" in gate.load(bombs.zstd_frame(docker_archive(Made()), window_log)).error


HONEST = {
    "zstd of BuildKit's best": lambda data: bombs.zstd_frame(data, 25),
    "xz -8": lambda data: bombs.xz_stream(data, 32 << 20),
}


@pytest.mark.parametrize("case", HONEST)
def test_the_largest_windows_of_tools_for_images_fit(gate: Gate, case: str) -> None:
    """With so many bytes that the window is full: around an archive, and in a layer."""
    plain = tar([member("noise", data=bombs.noise(1 << 20) * 40)])
    made = Made(layers=[plain], blobs=[HONEST[case](plain)], tags=["hostile:1"])
    for archive in (
        docker_archive(made),
        HONEST[case](docker_archive(Made(layers=[plain], tags=["hostile:1"]))),
    ):
        assert gate.load(archive).error == ""
        gate.send_back()


EXTREME = {
    "zstd --ultra -22": lambda data: bombs.zstd_frame(data, 27),
    "xz -9": lambda data: bombs.xz_stream(data, 64 << 20),
}


@pytest.mark.parametrize("case", EXTREME)
def test_what_people_pack_as_hard_as_they_can_is_taken(gate: Gate, case: str) -> None:
    for door, outcome in bring_by_each(gate, layer(EXTREME[case](PLAIN))):
        assert outcome.error == "", door
    packed = EXTREME[case](docker_archive(Made(tags=["hostile:1"])))
    assert gate.load(packed).error == ""


def test_countless_members_of_an_archive(gate: Gate) -> None:
    """Their names are what is kept of them in memory, in the daemon itself."""
    block = tar([member("a" * 90 + "%07d")])[:512]
    many = b"".join(raw(block, name=b"%s%07d" % (b"a" * 90, number)) for number in range(60_000))
    assert "too many members" in gate.load(bombs.PACK["zstd"](many)).error


def test_countless_small_members_stay_out_of_memory(gate: Gate) -> None:
    files = {f"f{number}": bombs.noise(60_000) for number in range(300)}
    assert gate.load(files_tar({**files, **docker_files(Made(tags=["hostile:1"]))})).error == ""


def test_countless_directories_and_records(gate: Gate) -> None:
    """What a worker remembers is bounded, whatever a layer holds."""
    block = tar([member("d/0000000")])[:512]
    deep = b"/".join([b"d" * 20] * 3)
    many = b"".join(raw(block, name=b"%s/%07d" % (deep, number), type=b"5") for number in range(9_000))
    records = tar([member("f", pax_headers={f"comment.{number}": "x" for number in range(40_000)})])
    outcome = gate.import_(bombs.PACK["zstd"](many + records))
    assert outcome.error == ""


@pytest.mark.parametrize("value", ["{}", "[]", '{"a":0}', '""', "0"])
def test_documents_of_countless_values(gate: Gate, value: str) -> None:
    values = "[" + ",".join([value] * (4_000_000 // (len(value) + 1))) + "]"
    assert "values" in gate.load(files_tar({"manifest.json": values.encode()})).error
    made = Made(said={"config": {"Labels": {}, "Extra": json.loads(values)}})
    assert len(made.config) < 15 << 20
    assert gate.load(docker_archive(made)).error
    gate.put_document({"annotations": json.loads(values)})
    assert gate.pull().error
