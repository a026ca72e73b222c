"""A5: what unpacks to more than anybody has, by every door: it ends soon, costs no memory and leaves nothing."""

import gzip
import json
from collections.abc import Callable

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


WINDOWS: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "zstd, 2 GiB": (lambda data: bombs.zstd_frame(data, 31), "2048 MiB", "zstd -19"),
    "zstd --ultra -22": (lambda data: bombs.zstd_frame(data, 27), "128 MiB", "zstd -19"),
    "zstd --ultra -21": (lambda data: bombs.zstd_frame(data, 26), "64 MiB", "zstd -19"),
    "zstd, after a frame that may be skipped": (
        lambda data: b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + bombs.zstd_frame(data, 26),
        "64 MiB",
        "zstd -19",
    ),
    "xz, 1.5 GiB": (lambda data: bombs.xz_stream(data, 3 << 29), "1536 MiB", "xz -8"),
    "xz -9": (lambda data: bombs.xz_stream(data, 64 << 20), "64 MiB", "xz -8"),
    "xz of three filters": (lambda data: bombs.xz_stream(data, 48 << 20, bombs.FILTERS), "48 MiB", "xz -8"),
    "xz, the second stream": (
        lambda data: bombs.xz_stream(data[:512], 1 << 20) + bombs.xz_stream(data[512:], 64 << 20),
        "64 MiB",
        "xz -8",
    ),
    "xz, the second block": (
        lambda data: bombs.xz_blocks([(data[:512], 1 << 20), (data[512:], 64 << 20)]),
        "more than 32 MiB",
        "xz -8",
    ),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_a_window_that_is_too_large(gate: Gate, case: str) -> None:
    """In a layer, and around an archive: it is told what is asked for, and what to do."""
    pack, asked, remedy = WINDOWS[case]
    told = [outcome.error for _, outcome in bring_by_each(gate, layer(pack(PLAIN)))]
    told.append(gate.load(pack(docker_archive(Made()))).error)
    for error in told:
        assert f"takes a window of {asked} of memory, and no image may take more than 32 MiB" in error
        assert f"`{remedy}` or less" in error


NOISE = tar([member("noise", data=bombs.noise(1 << 20) * 40)])
HONEST: dict[str, Callable[[bytes], bytes]] = {
    "zstd of BuildKit's best": lambda data: bombs.zstd_frame(data, 25),
    "xz -8": lambda data: bombs.xz_stream(data, 32 << 20),
    "xz of three filters": lambda data: bombs.xz_stream(data, 32 << 20, bombs.FILTERS),
}


@pytest.mark.parametrize("case", HONEST)
def test_the_largest_windows_of_tools_for_images_fit(gate: Gate, case: str) -> None:
    """With so many bytes that the window is full: around an archive, and in a layer by each way."""
    made = Made(layers=[NOISE], blobs=[HONEST[case](NOISE)])
    for door, outcome in bring_by_each(gate, made):
        assert outcome.error == "", door
    archive = HONEST[case](docker_archive(Made(layers=[NOISE], tags=["hostile:1"])))
    assert gate.load(archive).error == ""


PARTS = [NOISE[: 33 << 20], NOISE[33 << 20 :], *(bytes(33 << 20) for _ in range(4))]
SIZES = [12, 30, 16, 31, 24, 32]  # MiB
IN_TURN: dict[str, Callable[[], bytes]] = {
    "zstd": lambda: b"".join(map(bombs.zstd_frame, PARTS, (24, 24, 24, 23, 23, 25), (7, 6, 5, 7, 0, 0))),
    "xz, streams": lambda: b"".join(
        bombs.xz_stream(part, size << 20) for part, size in zip(PARTS, SIZES, strict=True)
    ),
    "xz, blocks": lambda: bombs.xz_blocks(
        [(part, size << 20) for part, size in zip(PARTS, SIZES, strict=True)]
    ),
}


@pytest.mark.parametrize("case", IN_TURN)
def test_windows_that_follow_one_another_do_not_add_up(gate: Gate, case: str) -> None:
    """Memory that was given back is there for the next one, or goes: `gate` looks at the workers."""
    stored = IN_TURN[case]()
    for door, outcome in bring_by_each(gate, Made(layers=[b"".join(PARTS)], blobs=[stored])):
        assert outcome.error == "", door
    assert "manifest" in gate.load(stored).error


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
