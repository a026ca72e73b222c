"""Digests of what is copied: what changes them, and what does not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from errdefs import NotFound
from runtime.copying.order import Selection
from runtime.copying.workers import Workers

pytestmark = pytest.mark.root
ALL = Selection(["/"])


@pytest.fixture
def twin(source: Path, tmp_path: Path) -> Path:
    """A copy of the context, with other times."""
    made = tmp_path / "twin"
    shutil.copytree(source, made, symlinks=True)
    (made / "d/hard").unlink()
    os.link(made / "d/g", made / "d/hard")
    os.utime(made / "f", (5, 5))
    return made


async def test_equal_files_have_equal_digests_whatever_their_times(
    workers: Workers, source: Path, twin: Path
) -> None:
    for selection in (
        ALL,
        Selection(["f", "[d]"]),
        Selection(["**/h"], True),
        Selection(["d"], False, ["sub"]),
    ):
        assert await workers.digest(source, selection) == await workers.digest(twin, selection)
    assert await workers.digest_path(source, "/d") == await workers.digest_path(twin, "/d")


async def test_it_is_all_the_same_how_much_there_is(
    workers: Workers, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.setxattr(source / "d/sub", "user.a", b"b")
    selections = [
        ALL,
        Selection(["f", "[e]*", "d"]),
        Selection(["**/h"], True),
        Selection(["*"], exclude=["dang"]),
        Selection(["top"]),
    ]
    paths = ["/", "/d/sub", "f"]
    found = []
    for little in (200, 0):
        monkeypatch.setattr("runtime.copying.workers._LITTLE_NAMES", little)
        monkeypatch.setattr("runtime.copying.workers._LITTLE_BYTES", little)
        found.append(
            [await workers.digest(source, each) for each in selections]
            + [await workers.digest_path(source, path) for path in paths]
        )
    assert found[0] == found[1]
    for number in range(300):
        (source / f"d/{number}").write_text("")
    monkeypatch.setattr("runtime.copying.workers._LITTLE_NAMES", 100)
    assert await workers.digest(source, ALL) != found[0][0]


CHANGES = {
    "content": "echo 4 >d/sub/h",
    "a name": "mv d/sub/h d/sub/i",
    "a mode": "chmod 600 d/sub/h",
    "a mode of a directory": "chmod 700 d/sub",
    "an owner": "chown 1 d/sub/h",
    "a group of a link": "chgrp -h 1 d/l",
    "an xattr": "setfattr -n user.a -v b d/sub/h",
    "an xattr of a directory": "setfattr -n user.a -v b d/sub",
    "a link": "ln -sfn sub d/l",
    "an empty directory": "mkdir d/sub/more",
    "a file less": "rm d/sub/h",
    "a hard link": "rm d/hard && cp -p d/g d/hard",
    "a kind": "rm d/sub/h && mkfifo d/sub/h",
}


def change(place: Path, how: str) -> None:
    """Make one of the changes."""
    name, *rest = CHANGES[how].split()
    if name == "setfattr":  # it may not be installed
        os.setxattr(place / rest[-1], "user.a", b"b")
    else:
        subprocess.run(["sh", "-c", CHANGES[how]], cwd=place, check=True)


@pytest.mark.parametrize("how", CHANGES)
async def test_whatever_is_copied_counts(workers: Workers, source: Path, twin: Path, how: str) -> None:
    change(twin, how)
    for selection in (ALL, Selection(["d"]), Selection(["d"], True), Selection(["*"], False, ["dang"])):
        assert await workers.digest(source, selection) != await workers.digest(twin, selection)
    assert await workers.digest_path(source, "/d") != await workers.digest_path(twin, "/d")


@pytest.mark.parametrize("how", CHANGES)
async def test_what_is_not_copied_does_not_count(
    workers: Workers, source: Path, twin: Path, how: str
) -> None:
    change(twin, how)
    for selection in (
        Selection(["f"]),
        Selection(["e*", "f"]),
        Selection(["/"], False, ["d"]),
        Selection(["f"], True),
    ):
        assert await workers.digest(source, selection) == await workers.digest(twin, selection)


async def test_the_directory_that_is_not_copied_itself_does_not_count(
    workers: Workers, source: Path, twin: Path
) -> None:
    (twin / "d").chmod(0o755)
    assert await workers.digest(source, Selection(["d"])) == await workers.digest(twin, Selection(["d"]))
    assert await workers.digest(source, ALL) != await workers.digest(twin, ALL)


async def test_what_is_selected_differently_differs(workers: Workers, source: Path) -> None:
    selections = [
        ALL,
        Selection(["d"]),
        Selection(["d"], True),
        Selection(["d", "d"]),
        Selection(["nothing*"]),
    ]
    assert len({await workers.digest(source, selection) for selection in selections}) == len(selections)


async def test_what_is_not_there_has_none(workers: Workers, source: Path) -> None:
    for selection in (Selection(["x"]), Selection(["x"], True), Selection(["dang"]), Selection(["f/x"])):
        with pytest.raises(NotFound, match=": not found"):
            await workers.digest(source, selection)
    with pytest.raises(NotFound, match='"/x": not found'):
        await workers.digest_path(source, "/x")


LARGE = {
    "its first byte": (0, b"x"),
    "its last byte": (-1, b"x"),
    "pieces that change places": (0, b"\1" * (4 << 20) + b"\0" * (4 << 20)),
    "a byte more": (9 << 20, b"\2"),
}


@pytest.mark.parametrize("how", LARGE)
async def test_all_of_a_large_file_counts(workers: Workers, tmp_path: Path, how: str) -> None:
    whole = b"\0" * (4 << 20) + b"\1" * (4 << 20) + b"\2" * (1 << 20)
    digests = []
    for name, (at, changed) in (("one", (0, b"")), ("two", (0, b"")), ("other", LARGE[how])):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "f").open("w+b") as file:
            file.write(whole)
            file.seek(at % len(whole) if at < 0 else at)
            file.write(changed)
        digests.append(await workers.digest(tmp_path / name, Selection(["f"])))
    assert digests[0] == digests[1] != digests[2]
