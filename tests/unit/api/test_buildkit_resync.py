"""A client's tree over what an earlier transfer left: it becomes the same, and what changed alone is asked for."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from api.buildkit import filemode
from api.buildkit.intake import Intake
from api.buildkit.outflow import Outflow
from api.buildkit.protos.session_pb2 import Packet, Stat

PAST = 10**18


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A client's directory."""
    place = tmp_path / "source"
    (place / "d/deep").mkdir(parents=True)
    for name in ("a", "b", "d/c", "d/deep/e"):
        (place / name).write_text(f"content of {name}")
        os.utime(place / name, ns=(PAST, PAST))
    (place / "empty").touch()
    os.link(place / "a", place / "hard")
    (place / "link").symlink_to("a")
    os.mkfifo(place / "fifo")
    return place


@pytest.fixture
def target(tmp_path: Path, source: Path) -> Path:
    """What was taken of it before."""
    place = tmp_path / "target"
    place.mkdir()
    assert sync(source, place) == ({"a", "b", "d/c", "d/deep/e"}, True)
    return place


def sync(source: Path, target: Path) -> tuple[set[str], bool]:
    """Transfer; what was asked for, and whether the target changed."""
    flow, intake, names, asked = Outflow(source), Intake(target), list[str](), set[str]()
    try:
        while packets := flow.entries():
            names += [os.fsdecode(each.stat.path) for each in packets]
            wanted = intake.take(packets)
            while wanted:
                asked |= {names[each.ID] for each in wanted}
                wanted = intake.take([packet for each in wanted for packet in flow.content(each.ID)])
        assert intake.complete
        return asked, intake.changed
    finally:
        flow.close()
        intake.close()


def listing(place: Path) -> dict[str, tuple[object, ...]]:
    """All that matters of a tree."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, str] = {}
    for path in sorted(place.rglob("*")):
        status, name = os.lstat(path), str(path.relative_to(place))
        what: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        first = inodes.setdefault(status.st_ino, name)
        found[name] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, what, first)
    return found


def test_what_is_unchanged_is_not_asked_for(source: Path, target: Path) -> None:
    before = {path: os.lstat(path).st_ino for path in target.rglob("*")}
    assert sync(source, target) == (set(), False)
    assert {path: os.lstat(path).st_ino for path in target.rglob("*")} == before
    assert listing(target) == listing(source)


def replaced_by_directory(source: Path) -> None:
    (source / "b").unlink()
    (source / "b").mkdir()
    (source / "b/inner").write_text("inner")


def replaced_by_file(source: Path) -> None:
    shutil.rmtree(source / "d")
    (source / "d").write_text("now a file")


def replaced_by_link(source: Path) -> None:
    shutil.rmtree(source / "d")
    (source / "d").symlink_to("/etc")


def split(source: Path) -> None:
    """Two names of one file become two files that look the same."""
    (source / "hard").unlink()
    shutil.copy2(source / "a", source / "hard")


def linked(source: Path) -> None:
    (source / "d/c").unlink()
    os.link(source / "b", source / "d/c")


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (lambda source: (source / "b").write_text("something else"), {"b"}),
        (lambda source: (source / "new").write_text("new"), {"new"}),
        (lambda source: (source / "d/deep/e").unlink(), set()),
        (lambda source: shutil.rmtree(source / "d"), set()),
        (lambda source: (source / "b").rename(source / "d/b"), {"d/b"}),
        (lambda source: (source / "b").chmod(0o4750), {"b"}),
        (lambda source: (source / "d").chmod(0o700), set()),
        (lambda source: os.chown(source / "b", 3, 4), {"b"}),
        (lambda source: os.utime(source / "b", ns=(PAST + 1, PAST + 1)), {"b"}),
        (lambda source: ((source / "link").unlink(), (source / "link").symlink_to("b")), set()),
        (lambda source: ((source / "a").unlink(), (source / "hard").unlink()), set()),
        (lambda source: (source / "a").unlink(), set()),
        (replaced_by_directory, {"b/inner"}),
        (replaced_by_file, {"d"}),
        (replaced_by_link, set()),
        (split, {"hard"}),
        (linked, set()),
    ],
)
def test_what_changed_alone_is(
    source: Path, target: Path, change: Callable[[Path], object], asked: set[str]
) -> None:
    change(source)
    assert sync(source, target) == (asked, True)
    assert listing(target) == listing(source)
    assert sync(source, target) == (set(), False)


def told(target: Path, *xattrs: dict[str, bytes]) -> tuple[list[int], bool]:
    """Tell of a directory and an empty and another file, each with its attributes."""
    modes = {"d": filemode.DIRECTORY | 0o755, "e": 0o644, "f": 0o644}
    intake = Intake(target)
    packets = [
        Packet(
            type=Packet.PACKET_STAT,
            stat=Stat(path=name.encode(), mode=mode, size=int(name == "f"), xattrs=each),
        )
        for (name, mode), each in zip(modes.items(), xattrs, strict=True)
    ]
    try:
        asked = [each.ID for each in intake.take([*packets, Packet(type=Packet.PACKET_STAT)])]
        for number in asked:
            data = [Packet(type=Packet.PACKET_DATA, ID=number, data=each) for each in (b"f", b"")]
            intake.take(data)
        return asked, intake.changed
    finally:
        intake.close()


def test_attributes_come_and_go(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    some = {"user.x": b"y"}
    assert told(target, {}, {}, {}) == ([2], True)
    assert told(target, {}, {}, {}) == ([], False)
    assert told(target, some, {}, {}) == ([], True)
    assert os.listxattr(target / "d") == ["user.x"]
    assert told(target, some, some, some) == ([2], True)
    assert os.getxattr(target / "f", "user.x") == os.getxattr(target / "e", "user.x") == b"y"
    assert told(target, some, some, {"user.x": b"z"}) == ([2], True)
    assert os.getxattr(target / "f", "user.x") == b"z"
    assert told(target, {}, some, {"user.x": b"z", "trusted.x": b""}) == ([], True)
    assert os.listxattr(target / "d") == []
    assert told(target, {}, some, {"user.x": b"z"}) == ([], False)


def test_the_same_time_and_size_are_the_same_content(source: Path, target: Path) -> None:
    """As BuildKit takes it."""
    (source / "b").write_text("CONTENT OF b")
    os.utime(source / "b", ns=(PAST, PAST))
    assert sync(source, target) == (set(), False)


def test_times_of_directories_are_no_change(source: Path, target: Path) -> None:
    os.utime(source / "d", ns=(PAST, PAST))
    assert sync(source, target) == (set(), False)
    assert listing(target) == listing(source)


def test_what_broke_off_is_asked_for_again(source: Path, target: Path) -> None:
    """What has come of a file has not its time yet, also where all bytes are there."""
    (source / "b").write_text("another content")
    flow, intake = Outflow(source), Intake(target)
    packets = flow.entries()
    (wanted,) = intake.take(packets)
    intake.take(list(flow.content(wanted.ID))[:-1])
    flow.close()
    intake.close()
    assert (target / "b").read_text() == "another content"
    assert sync(source, target) == ({"b"}, True)
    assert listing(target) == listing(source)


def test_nothing_is_reached_through_a_former_link(tmp_path: Path, target: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (target / "z").symlink_to(outside)
    intake = Intake(target)
    entries = [("z", filemode.DIRECTORY | 0o755), ("z/f", 0o644)]
    packets = [Stat(path=name.encode(), mode=mode) for name, mode in entries]
    intake.take(
        [*(Packet(type=Packet.PACKET_STAT, stat=each) for each in packets), Packet(type=Packet.PACKET_STAT)]
    )
    intake.close()
    assert os.listdir(outside) == []
    assert os.listdir(target) == ["z"]
    assert os.listdir(target / "z") == ["f"]
