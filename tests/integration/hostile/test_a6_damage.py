"""A6: layers cut short, of another digest or size, with more than belongs there; and what is legal though odd."""

import gzip
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import zstandard

from tests.integration.hostile.doors import Gate, Outcome, bring_by_each, docker_archive_door, oci_layout_door
from tests.integration.images.archives import Made, descriptor, digest, oci_files
from tests.integration.images.archives import tar as files_tar
from tests.integration.storage.archives import directory, member, symlink, tar

pytestmark = pytest.mark.root
PLAIN = tar([directory("d"), member("d/f", data=random.Random(1).randbytes(300_000)), symlink("l", "d/f")])
ZIPPED = gzip.compress(PLAIN, mtime=0)

DAMAGED: dict[str, tuple[bytes, str]] = {
    "plain, cut in a file": (PLAIN[:100_000], "truncated"),
    "plain, cut in a header": (PLAIN[:1300], "truncated"),
    "gzip, cut": (ZIPPED[:-5000], "truncated"),
    "gzip, without its checksum": (ZIPPED[:-8], "truncated"),
    "gzip, of another checksum": (ZIPPED[:-8] + bytes(8), "broken"),
    "gzip, followed by garbage": (ZIPPED + b"garbage", "stream is"),
    "zstd, cut": (zstandard.compress(PLAIN)[:-5000], "truncated"),
    "zstd, followed by garbage": (zstandard.compress(PLAIN) + b"garbage", "broken"),
    "no archive": (b"<html>" * 1000, "not a tar archive"),
    "noise": (random.Random(2).randbytes(5000), "archive"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_layers(gate: Gate, case: str) -> None:
    stored, reason = DAMAGED[case]
    for door, outcome in bring_by_each(gate, Made(layers=[PLAIN], blobs=[stored])):
        assert reason in outcome.error, door


LEGAL: dict[str, bytes] = {
    "bytes after the end": PLAIN + b"whatever" * 999,
    "another archive after the end": PLAIN + tar([member("hidden")]),
    "no end": PLAIN[: PLAIN.rindex(b"ustar") // 512 * 512 + 512],
    "nothing": b"",
    "zeros": bytes(10_240),
}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "members of gzip": lambda data: gzip.compress(data[:777]) + gzip.compress(data[777:]),
    "empty members of gzip": lambda data: gzip.compress(b"") + gzip.compress(data) + gzip.compress(b""),
    "frames of zstd": lambda data: zstandard.compress(data[:777]) + zstandard.compress(data[777:]),
    "a frame of zstd to skip": lambda data: b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstandard.compress(data),
    "gzip and zeros": lambda data: gzip.compress(data) + bytes(1000),
}


@pytest.mark.parametrize("case", LEGAL)
def test_odd_ends_are_legal(gate: Gate, case: str) -> None:
    for door, outcome in bring_by_each(gate, Made(layers=[LEGAL[case]])):
        assert outcome.error == "", door
        assert not (gate.look(outcome.image, "hidden")).exists(), door


@pytest.mark.parametrize("case", PACKED)
def test_odd_compressions_are_legal(gate: Gate, case: str) -> None:
    for door, outcome in bring_by_each(gate, Made(layers=[PLAIN], blobs=[PACKED[case](PLAIN)])):
        assert outcome.error == "", door
        assert gate.look(outcome.image, "d/f").stat().st_size == 300_000, door


def test_another_diff_id(gate: Gate) -> None:
    made = Made(layers=[PLAIN], blobs=[gzip.compress(tar([member("other")]))])
    for door, outcome in bring_by_each(gate, made):
        assert "invalid diffID for layer 0" in outcome.error or door == "import"


def changed(**fields: object) -> Callable[[Gate], Outcome]:
    """Pull an image whose layer's descriptor says other things."""

    def bring(gate: Gate) -> Outcome:
        layer = {**descriptor(ZIPPED, "application/vnd.oci.image.layer.v1.tar+gzip"), **fields}
        gate.put_document({"layers": [layer]}, Made(layers=[PLAIN], blobs=[ZIPPED]))
        return gate.pull()

    return bring


def other_bytes(data: bytes) -> Callable[[Gate], Outcome]:
    """Pull an image whose layer is given as other bytes."""

    def bring(gate: Gate) -> Outcome:
        gate.put(Made(layers=[PLAIN], blobs=[ZIPPED]))
        gate.shelf.blobs[digest(ZIPPED)] = data
        return gate.pull()

    return bring


WRONG: dict[str, tuple[Callable[[Gate], Outcome], str]] = {
    "another blob of this size": (other_bytes(bytes(len(ZIPPED))), "verification failed"),
    "a shorter blob": (other_bytes(ZIPPED[:-10]), "bytes instead of"),
    "a longer blob": (other_bytes(ZIPPED + b"more"), "bytes instead of"),
    "a size too small": (changed(size=10), "bytes instead of"),
    "a size too large": (changed(size=1 << 62), "bytes instead of"),
    "a negative size": (changed(size=-1), "invalid"),
    "a size beyond all numbers": (changed(size=1 << 70), "out of range"),
    "a size that is none": (changed(size="10"), "invalid"),
    "no digest": (changed(digest=""), "a layer is named"),
    "a digest that is a path": (changed(digest="sha256:../../../../etc/passwd"), "a layer is named"),
    "a digest of capitals": (changed(digest="sha256:" + "A" * 64), "a layer is named"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_descriptors(gate: Gate, case: str) -> None:
    bring, reason = WRONG[case]
    assert reason in bring(gate).error


@pytest.mark.parametrize("which", ["config", "manifest", "layer"])
def test_blobs_of_a_layout_that_are_others(gate: Gate, which: str) -> None:
    made = Made(layers=[PLAIN], tags=["docker.io/library/hostile:1"])
    files = oci_files(made)
    manifest = json.loads(files["index.json"])["manifests"][0]["digest"]
    wanted = {"config": made.id, "manifest": manifest, "layer": digest(PLAIN)}[which]
    files[f"blobs/sha256/{wanted[7:]}"] += b" "
    assert f"{which} has digest" in gate.load(files_tar(files)).error


def test_damage_by_chance(gate: Gate) -> None:
    """Whatever bits are damaged: an image or an error, and no more."""
    dice = random.Random(6)
    sound = [PLAIN, ZIPPED, zstandard.compress(PLAIN)]
    for turn in range(30):
        damaged = bytearray(sound[turn % 3])
        for _ in range(dice.randrange(1, 5)):
            damaged[dice.randrange(min(len(damaged), 3000))] = dice.randrange(256)
        door = (docker_archive_door, oci_layout_door)[turn % 2]
        made = Made(layers=[PLAIN], blobs=[bytes(damaged)])
        outcome = gate.import_(bytes(damaged)) if turn % 5 == 0 else door(gate, replace(made))
        assert len(outcome.error) < 800
        gate.send_back()


def test_real_archives_by_chance(gate: Gate) -> None:
    """Damaged headers that add up: past the checksum, to the reader of numbers and records."""
    dice = random.Random(7)
    for _ in range(30):
        damaged = bytearray(tar([member("f", data=os.urandom(600), pax_headers={"comment": "x" * 90})] * 3))
        at = dice.randrange(0, len(damaged) - 512, 512)
        damaged[at + dice.randrange(512)] = dice.randrange(256)
        block = damaged[at : at + 512]
        block[148:156] = b" " * 8
        damaged[at + 148 : at + 156] = b"%06o\0 " % sum(block)
        assert len(gate.import_(bytes(damaged)).error) < 800
        gate.send_back()
