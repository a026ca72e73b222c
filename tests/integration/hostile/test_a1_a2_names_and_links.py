"""A1, A2: names and links of a layer that would lead out, by every door."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.hostile.doors import Gate, bring_by_each, docker_archive_door
from tests.integration.images.archives import Made
from tests.integration.storage.archives import directory, hardlink, member, symlink, tar

pytestmark = pytest.mark.root

Members = list[tuple[tarfile.TarInfo, bytes]]
UP = "../" * 16

REFUSED: dict[str, Callable[[str], Members]] = {
    "above": lambda _: [member("../x", data=b"x")],
    "above by way of a directory": lambda _: [member("a/../../x", data=b"x")],
    "the canary, from far above": lambda canary: [member(f"{UP}{canary}/etc/passwd", data=b"owned")],
    "a directory above": lambda canary: [directory(f"{UP}{canary}/new")],
    "a whiteout above": lambda canary: [member(f"{UP}{canary}/.wh.etc")],
    "a NUL": lambda _: [member("f", pax_headers={"path": "a\0b"})],
    "a NUL in a link": lambda _: [member("l", tarfile.SYMTYPE, pax_headers={"linkpath": "a\0b"})],
    "a component of 256 bytes": lambda _: [member("x" * 256)],
    "longer than a path can be": lambda _: [member("d/" * 2100 + "f")],
    "a megabyte of a name": lambda _: [member("d/" * 500_000)],
    "the root as a file": lambda _: [member(".", data=b"x")],
    "the root as a link": lambda canary: [symlink("/", canary)],
    "through a link to what is not in the image": lambda canary: [
        symlink("l", canary),
        member("l/passwd", data=b"owned"),
    ],
    "through a link that climbs": lambda canary: [
        symlink("l", f"{UP}{canary}/etc"),
        member("l/passwd", data=b"owned"),
    ],
    "through links in a circle": lambda _: [symlink("a", "b"), symlink("b", "a"), member("a/f")],
    "a directory that became a link": lambda canary: [
        member("d/etc/f"),
        symlink("d", canary),
        member("d/etc/passwd", data=b"owned"),
    ],
    "a hard link above": lambda canary: [hardlink("h", f"{UP}{canary}/etc/passwd")],
    "a hard link to the canary": lambda canary: [hardlink("h", f"{canary}/etc/passwd")],
    "a hard link through a link": lambda canary: [symlink("l", f"{canary}/etc"), hardlink("h", "l/passwd")],
    "a hard link to a directory": lambda _: [directory("d"), hardlink("h", "d")],
    "a hard link to itself": lambda _: [hardlink("h", "h"), hardlink("g", "h")],
    "a file as a parent": lambda _: [member("f"), member("f/g")],
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(gate: Gate, canary: Path, case: str) -> None:
    for door, outcome in bring_by_each(gate, Made(layers=[tar(REFUSED[case](str(canary)))])):
        assert "archive entry" in outcome.error or "malformed tar archive" in outcome.error, door
        assert len(outcome.error) < 700, door


CONTAINED: dict[str, tuple[Callable[[str], Members], Callable[[Path, str], bool]]] = {
    "an absolute name": (
        lambda canary: [member(f"{canary}/etc/passwd", data=b"mine")],
        lambda root, canary: (root / canary.lstrip("/") / "etc/passwd").read_bytes() == b"mine",
    ),
    "a link out, and a file in its place": (
        lambda canary: [symlink("l", f"{canary}/etc/passwd"), member("l", data=b"mine")],
        lambda root, _: (root / "l").read_bytes() == b"mine" and not (root / "l").is_symlink(),
    ),
    "a hard link to a link out": (
        lambda canary: [symlink("s", f"{canary}/etc/passwd"), hardlink("t", "s"), member("t", data=b"mine")],
        lambda root, canary: (
            (root / "t").read_bytes() == b"mine" and os.readlink(root / "s").startswith(canary)
        ),
    ),
    "an owner and a mode through a link out": (
        lambda canary: [member("l", tarfile.SYMTYPE, linkname=f"{canary}/etc", uid=1234, mode=0o777)],
        lambda root, _: os.lstat(root / "l").st_uid == 1234,
    ),
    "a directory in the place of a link out": (
        lambda canary: [
            symlink("d", f"{canary}/etc"),
            directory("d", mode=0o777),
            member("d/passwd", data=b"m"),
        ],
        lambda root, _: (root / "d/passwd").read_bytes() == b"m" and not (root / "d").is_symlink(),
    ),
    "links that lead to where the image has a directory": (
        lambda canary: [
            directory(canary),
            symlink("abs", canary),
            symlink("rel", f"{UP}{canary}"),
            member("abs/a", data=b"1"),
            member("rel/b", data=b"2"),
        ],
        lambda root, canary: sorted(os.listdir(root / canary.lstrip("/"))) == ["a", "b"],
    ),
    "directories 500 deep": (
        lambda _: [member("d/" * 500 + "f")],
        lambda root, _: (root / "d/d/d").is_dir(),
    ),
}


@pytest.mark.parametrize("case", CONTAINED)
def test_contained(gate: Gate, canary: Path, case: str) -> None:
    members, holds = CONTAINED[case]
    for door, outcome in bring_by_each(gate, Made(layers=[tar(members(str(canary)))])):
        assert outcome.error == "", door
        assert holds(gate.look(outcome.image, "."), str(canary)), door


def test_links_of_lower_layers_lead_nowhere_either(gate: Gate, canary: Path) -> None:
    """Two layers: what the lower one's link means is for the container to see, and nowhere written through."""
    lower = tar([symlink("l", str(canary)), directory("d")])
    upper = tar([member("l/etc/passwd", data=b"mine"), member(".wh.d")])
    outcome = docker_archive_door(gate, Made(layers=[lower, upper]))
    assert outcome.error == ""
    assert gate.look(outcome.image, "l/etc/passwd").read_bytes() == b"mine"
