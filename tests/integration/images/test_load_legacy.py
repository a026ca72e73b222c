"""What docker before 1.10 saved: every layer an image, made on its parent's; and nothing out of what does not fit."""

import gzip
import json
import re

import pytest

import errdefs
from tests.integration.images.archives import Files, Members, Old, digest, legacy_files, symlink, tar
from tests.integration.images.place import Place, chunks

pytestmark = pytest.mark.root

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
HELLO, NONE, MORE = (tar({"etc/hello": b"hello\n"}), bytes(1024), tar({"etc/more": b"more\n"}))
RUN = {"container_config": {"Cmd": ["sh", "-c", "echo <more>"]}, "config": {"Cmd": ["sh"]}}
CHAIN = [Old(C, HELLO), Old(B, NONE, C, {"author": "b"}), Old(A, MORE, B, RUN)]
FILES = legacy_files(CHAIN, {"old": {"2": A, "1": A}, "127.0.0.1:5/x/y": {"base": C}})


async def test_a_chain(place: Place) -> None:
    told = await place.load(tar(FILES))
    assert told == [f"Loaded image: {name}\n" for name in ("127.0.0.1:5/x/y:base", "old:1", "old:2")]
    image = place.images.get("old:1")
    assert image.references == ["old:1", "old:2"]
    assert [layer.diff_id for layer in image.layers] == [digest(each) for each in (HELLO, NONE, MORE)]
    assert place.layer_file("old:1", "etc/more", layer=2) == b"more\n"
    assert [step.created_by for step in image.config.history] == ["", "", "sh -c echo <more>"]
    between = place.images.get(image.parent)
    assert (between.references, between.config.author) == ([], "b")
    assert between.parent == place.images.get("127.0.0.1:5/x/y:base").id
    assert len(await place.happened()) == 2
    again = await place.load(gzip.compress(tar(FILES)))
    assert again == told
    assert place.images.count() == 3


async def test_the_layers_are_told_of_once(place: Place) -> None:
    await place.load(tar(FILES), quiet=False)
    told = [message.id for message in place.said if message.status]
    assert list(dict.fromkeys(told)) == [old[:12] for old in (C, B, A)]
    assert len(told) == 3


async def test_packed_layers_and_links_between_members(place: Place) -> None:
    """As later versions saved layers that they had saved already, for those before."""
    files: Files = {f"{A}/json": Old(A, b"").json, f"{B}/json": Old(B, b"", A).json}
    members: Members = [
        *files.items(),
        (f"{B}/layer.tar", gzip.compress(HELLO)),
        symlink(f"{A}/layer.tar", f"../{B}/layer.tar"),
        ("repositories", json.dumps({"old": {"1": B}}).encode()),
    ]
    await place.load(tar(members))
    image = place.images.get("old:1")
    assert [layer.diff_id for layer in image.layers] == [digest(HELLO)] * 2
    assert [layer.media_type.rsplit("+", 1)[-1] for layer in image.layers] == ["gzip"] * 2


async def test_the_platform_that_is_asked_for(place: Place) -> None:
    """And what its images stand on, whatever that says."""
    arm = [Old("d", MORE, A), Old("e", MORE, A, {"architecture": "arm64"}), Old("f", HELLO, "d")]
    archive = tar(legacy_files([*CHAIN, *arm], {"old": {"arm": "e", "amd": A}}))
    await place.images.load(chunks(archive), wanted=["linux/arm64"])
    assert place.images.get("old:arm").config.architecture == "arm64"
    assert place.images.count() == 4
    with pytest.raises(errdefs.NotFound):
        place.images.get("old:amd")


def _chain(length: int) -> bytes:
    images = [Old(f"{n:03}", NONE, f"{n - 1:03}" if n else "") for n in range(length)]
    return tar(legacy_files(images, {"old": {"1": images[-1].id}}))


def _parents(**parents: str) -> bytes:
    return tar(
        legacy_files([Old(old, HELLO, parent) for old, parent in parents.items()], {"old": {"1": "a"}})
    )


BAD: dict[str, tuple[bytes, str]] = {
    "its own parent": (_parents(a="a"), 'the parents of image "a" are a circle'),
    "parents in a circle": (_parents(a="b", b="c", c="b"), 'the parents of image "b" are a circle'),
    "a circle of all": (_parents(a="b", b="c", c="d", d="a"), "are a circle"),
    "a parent that is missing": (_parents(a="b", b="c"), 'parent "c" of image "b" is missing'),
    "a parent of control characters": (_parents(a="\x1b[2J\n"), "is no image ID"),
    "a parent from above": (_parents(a="../a"), "is no image ID"),
    "126 layers": (_chain(126), "max depth exceeded"),
    "5000 layers": (_chain(5000), "max depth exceeded"),
    "a directory of control characters": (tar({**FILES, "\x1b[2J/json": b"{}"}), "is no image ID"),
    "a directory without json": (tar({**FILES, "d/layer.tar": HELLO}), 'image JSON "d/json" is missing'),
    "a name of nothing": (tar({**FILES, "repositories": b'{"x":{"y":"z"}}'}), "invalid target ID: z"),
    "a name of a line's end": (tar({**FILES, "repositories": b'{"x":{"y":"\\n"}}'}), "is no image ID"),
    "repositories that are a list": (tar({**FILES, "repositories": b"[]"}), "failed to decode repositories"),
    "repositories of numbers": (tar({**FILES, "repositories": b'{"x":1}'}), "failed to decode repositories"),
    "deep repositories": (tar({"repositories": b"[" * 99999 + b"]" * 99999}), "failed to decode"),
    "bad name": (tar({"repositories": b'{"X":{"y":"z"}}'}), "must be lowercase"),
    "bad tag": (tar({"repositories": b'{"x":{"a\\nb":"z"}}'}), "invalid tag format"),
    "a tag that is a name": (tar({"repositories": b'{"x":{"1/y:1":"z"}}'}), "invalid tag format"),
    "json that is none": (tar({**FILES, f"{A}/json": b"x"}), "invalid image JSON"),
    "json that is a list": (tar({**FILES, f"{A}/json": b"[]"}), "invalid image JSON"),
    "json with a key twice": (tar({**FILES, f"{A}/json": b'{"parent":"x","parent":"y"}'}), "given twice"),
    "another system": (tar(legacy_files([Old(A, NONE, said={"os": "windows"})], {})), "cannot load windows"),
    "no time": (tar(legacy_files([Old(A, NONE, said={"created": "x"})], {})), "invalid time"),
    "no layer": (tar({f"{C}/json": Old(C, b"").json, "repositories": b"{}"}), 'layer ".*" is missing'),
    "no tar": (tar(legacy_files([Old(A, b"x" * 2000)], {})), "invalid|malformed|not a tar"),
    "a layer from above": (
        tar([(f"{A}/json", Old(A, b"").json), symlink(f"{A}/layer.tar", "../../x"), ("repositories", b"{}")]),
        "leads out of the archive",
    ),
    "a json in a circle": (tar([symlink("a/json", "../a/json"), ("repositories", b"{}")]), "chain of links"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_bad_archives_leave_nothing(place: Place, case: str) -> None:
    archive, reason = BAD[case]
    with pytest.raises(errdefs.InvalidArgument) as refused:
        await place.load(archive)
    assert re.search(reason, str(refused.value))
    assert await place.files() == set()
    assert place.images.count() == 0


async def test_125_layers(place: Place) -> None:
    await place.load(_chain(125))
    assert len(place.images.get("old:1").layers) == 125
