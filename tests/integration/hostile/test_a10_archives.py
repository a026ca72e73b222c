"""A10: archives of images that would lead out of themselves, go round in circles, or bring odd names."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hostile.doors import Gate
from tests.integration.images.archives import Made, Members, digest, docker_files, manifest_json, symlink, tar
from tests.integration.images.test_load_legacy import BAD as OLD
from tests.integration.images.test_load_refused import BAD

pytestmark = pytest.mark.root
MADE = Made(tags=["hostile:1"])
LAYER = f"{digest(MADE.layers[0])[7:]}/layer.tar"


@pytest.mark.parametrize("case", [*BAD, *OLD])
def test_what_is_refused_without_a_daemon_is_refused_by_one(gate: Gate, case: str) -> None:
    archive, reason = {**BAD, **OLD}[case]
    error = gate.load(archive).error
    assert re.search(reason, error)
    assert len(error) < 700
    assert not any(ord(letter) < 32 for letter in error)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def with_layer(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    """The archive with other members in the place of its layer."""
    rest: Members = [item for item in docker_files(MADE).items() if item[0] != LAYER]
    return tar([*members, *rest])


def with_manifest(**fields: Any) -> bytes:
    """The archive whose manifest.json says other things."""
    entry = {**json.loads(manifest_json(MADE))[0], **fields}
    return tar({**docker_files(MADE), "manifest.json": json.dumps([entry]).encode()})


def test_a_layer_that_is_a_link_to_a_file_of_the_host(gate: Gate, canary: Path) -> None:
    for target in (f"{canary}/etc/passwd", "../" * 16 + f"{canary}/etc/passwd", "/etc/passwd", "/dev/zero"):
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            error = gate.load(with_layer(special(LAYER, kind, target))).error
            assert "archive" in error


ODD: dict[str, tuple[bytes, str]] = {
    "a layer that is a fifo": (with_layer(special(LAYER, tarfile.FIFOTYPE)), "is missing"),
    "a layer that is a device": (with_layer(special(LAYER, tarfile.CHRTYPE)), "is missing"),
    "a layer that is a directory": (with_layer(special(LAYER, tarfile.DIRTYPE)), "is missing"),
    "a layer that is a link to itself": (with_layer(symlink(LAYER, "layer.tar")), "chain of links"),
    "a chain of 20 links": (
        with_layer(*[symlink(f"l{n}", f"l{n + 1}") for n in range(20)], symlink(LAYER, "../l0")),
        "chain of links",
    ),
    "a config that is a layer": (with_manifest(Config=LAYER), "invalid image config"),
    "a layer that is the manifest": (with_manifest(Layers=["manifest.json"]), "archive"),
    "a layer by an absolute path": (with_manifest(Layers=["/etc/passwd"]), "is missing"),
    "a layer of a NUL": (with_manifest(Layers=["a\0b"]), "invalid member name"),
    "a layer of 100 kB of name": (with_manifest(Layers=["a/" * 50_000]), "invalid member name"),
    "a layer that is a number": (with_manifest(Layers=[1]), "failed to decode manifest.json"),
    "tags of control characters": (with_manifest(RepoTags=["hostile:\x1b[2J"]), "invalid reference format"),
    "tags of a line's end": (with_manifest(RepoTags=["hostile:1\n"]), "invalid reference format"),
    "tags of a right-to-left mark": (with_manifest(RepoTags=["\u202ehostile:1"]), "invalid reference format"),
    "tags of a megabyte": (with_manifest(RepoTags=["h" * (1 << 20) + ":1"]), "invalid reference format"),
    "tags that climb": (with_manifest(RepoTags=["../../hostile:1"]), "invalid reference format"),
    "tags that are numbers": (with_manifest(RepoTags=[1]), "failed to decode manifest.json"),
    "repositories alone": (tar({"repositories": b'{"a":{"b":"c"}}'}), "invalid target ID: c"),
    "repositories in a circle": (tar([symlink("repositories", "repositories")]), "chain of links"),
    "repositories from outside": (
        tar([symlink("repositories", "../../etc/passwd")]),
        "leads out of the archive",
    ),
    "a manifest in a circle": (tar([symlink("manifest.json", "manifest.json")]), "chain of links"),
    "a manifest from outside": (
        tar([symlink("manifest.json", "/proc/self/environ")]),
        "link out of the archive",
    ),
    "an index from above": (tar([symlink("index.json", "../../../etc/passwd")]), "leads out of the archive"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_archives(gate: Gate, case: str) -> None:
    archive, reason = ODD[case]
    error = gate.load(archive).error
    assert reason in error
    assert len(error) < 700
    assert not any(ord(letter) < 32 for letter in error)


def test_parents_in_a_circle(gate: Gate) -> None:
    """What an archive says of parents is taken where it is true, and goes round nowhere."""
    other = Made(tags=["hostile:2"], said={"author": "other"})
    entries = json.loads(manifest_json(MADE, other))
    entries[0]["Parent"], entries[1]["Parent"] = other.id, MADE.id
    files = {**docker_files(MADE, other), "manifest.json": json.dumps(entries).encode()}
    assert gate.load(tar(files)).error == ""
    gate.brought.append("hostile:2")
    assert gate.daemon.get("/images/hostile:1/history").status == 200
    assert gate.daemon.get("/images/json?all=1").status == 200


def test_the_same_image_many_times(gate: Gate) -> None:
    entries = json.loads(manifest_json(MADE)) * 200
    assert gate.load(tar({**docker_files(MADE), "manifest.json": json.dumps(entries).encode()})).error == ""


def test_a_member_twice_is_the_last_one(gate: Gate) -> None:
    """As whoever unpacks the archive to a directory would have it."""
    members: Members = [("manifest.json", b"[]"), *docker_files(MADE).items()]
    assert gate.load(tar(members)).error == ""
    assert gate.daemon.get("/images/hostile:1/json").json["Id"] == MADE.id
