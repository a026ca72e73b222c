"""Trees of a client by fsutil's protocol: what comes lies as it was, and what no honest client sends is refused."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import errdefs
from api.buildkit import filemode
from api.buildkit.incoming import REQUESTED
from api.buildkit.intake import Intake
from api.buildkit.outflow import Outflow
from api.buildkit.protos.session_pb2 import Packet, Stat

FILE, DIRECTORY, LINK = 0o644, filemode.DIRECTORY | 0o755, filemode.SYMLINK | 0o777
END = Packet(type=Packet.PACKET_STAT)


def entry(path: str, mode: int = FILE, linkname: str = "", **more: Any) -> Packet:
    made = Stat(path=os.fsencode(path), mode=mode, linkname=os.fsencode(linkname), **more)
    return Packet(type=Packet.PACKET_STAT, stat=made)


def data(number: int, content: bytes) -> list[Packet]:
    pieces = [content[at : at + 5] for at in range(0, len(content), 5)]
    return [Packet(type=Packet.PACKET_DATA, ID=number, data=each) for each in [*pieces, b""]]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Of which nothing may change."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "passwd").write_text("root")
    return place


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    (tmp_path / "into").mkdir()
    made = Intake(tmp_path / "into")
    yield made
    made.close()


def test_takes_what_an_honest_client_sends(intake: Intake, tmp_path: Path) -> None:
    asked = intake.take(
        [
            entry("a", FILE | 1 << 23, size=11, modTime=10**18 + 7, uid=3, gid=4, xattrs={"user.x": b"y"}),
            entry("b", 0o600),
            entry("d", DIRECTORY | 1 << 20, modTime=5 * 10**17),
            entry("d/c", size=3),
            entry("d/e", DIRECTORY),
            entry("l", LINK, linkname="/etc/passwd"),
            entry("m", linkname="a"),
            entry("p", filemode.FIFO | 0o640),
            entry("s", filemode.SOCKET | 0o640),
            END,
        ]
    )
    assert [(each.type, each.ID) for each in asked] == [(Packet.PACKET_REQ, 0), (Packet.PACKET_REQ, 3)]
    assert intake.received == 0
    assert intake.take([*data(3, b"ccc"), *data(0, b"hello world")]) == []
    assert intake.complete
    assert intake.received == 14
    into = tmp_path / "into"
    found = os.stat(into / "a")
    assert (into / "a").read_bytes() == b"hello world"
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_uid, found.st_gid) == (
        0o4644,
        10**18 + 7,
        3,
        4,
    )
    assert os.stat(into / "m").st_ino == found.st_ino
    assert stat.S_IMODE(os.stat(into / "b").st_mode) == 0o600
    assert (stat.S_IMODE(os.stat(into / "d").st_mode), os.stat(into / "d").st_mtime_ns) == (
        0o1755,
        5 * 10**17,
    )
    assert (into / "d" / "c").read_bytes() == b"ccc"
    assert os.readlink(into / "l") == "/etc/passwd"
    assert stat.S_ISFIFO(os.stat(into / "p").st_mode)
    assert not (into / "s").exists()


@pytest.mark.parametrize("path", ["/a", "..", "../a", "a/../b", "./a", "a//b", "a/", "", "a\0b", "."])
def test_refuses_paths_that_lead_elsewhere(intake: Intake, path: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        intake.take([entry("a", DIRECTORY), entry(path)])


@pytest.mark.parametrize(
    "paths", [["b", "a"], ["a", "a"], ["x/a"], ["d/", "d/a/b"], ["d/", "d/b", "e", "d/c"], ["f", "f/a"]]
)
def test_refuses_what_is_out_of_order_or_stands_nowhere(intake: Intake, paths: list[str]) -> None:
    packets = [entry(path.rstrip("/"), DIRECTORY if path.endswith("/") else FILE, size=1) for path in paths]
    with pytest.raises(errdefs.InvalidArgument, match="out of order"):
        intake.take(packets)


def test_goes_through_no_link(intake: Intake, outside: Path) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        intake.take([entry("a", LINK, linkname=str(outside)), entry("a/passwd", size=4)])
    assert (outside / "passwd").read_text() == "root"


@pytest.mark.parametrize("target", ["l", "d", "nothing", "../outside/passwd", "l/passwd", "/etc/passwd"])
def test_links_only_what_has_come(intake: Intake, outside: Path, target: str) -> None:
    before = os.stat(outside / "passwd").st_nlink
    with pytest.raises(errdefs.InvalidArgument):
        intake.take(
            [entry("d", DIRECTORY), entry("l", LINK, linkname=str(outside)), entry("m", linkname=target)]
        )
    assert os.stat(outside / "passwd").st_nlink == before


def test_a_file_that_became_a_link_is_not_written_through(
    intake: Intake, outside: Path, tmp_path: Path
) -> None:
    """Only files beyond those under way at once are opened again; nobody else writes here, and yet."""
    names = [f"f{number:04}" for number in range(REQUESTED + 1)]
    intake.take([*(entry(name, size=4) for name in names), END])
    last = tmp_path / "into" / names[-1]
    last.unlink()
    last.symlink_to(outside / "passwd")
    with pytest.raises(errdefs.InvalidArgument):
        intake.take(data(0, b"evil"))
    assert (outside / "passwd").read_text() == "root"


def test_asks_for_some_files_at_a_time(intake: Intake, tmp_path: Path) -> None:
    number = REQUESTED * 3
    asked = intake.take([*(entry(f"f{at:04}", size=1) for at in range(number)), END])
    got = 0
    while asked:
        assert len(asked) <= REQUESTED
        got += len(asked)
        asked = [more for each in asked for more in intake.take(data(each.ID, b"x"))]
    assert got == number
    assert intake.complete
    assert all(each.read_bytes() == b"x" for each in (tmp_path / "into").iterdir())


def test_content_comes_in_any_order_and_many_pieces(intake: Intake, tmp_path: Path) -> None:
    """More pieces than one call writes, and files in between."""
    intake.take([*(entry(name, size=9000) for name in "abc"), END])
    contents = [os.urandom(9000) for _ in "abc"]
    first, second, third = (data(number, content) for number, content in enumerate(contents))
    mixed = [packet for both in zip(first, second, strict=True) for packet in both]
    for at in range(0, len(mixed), 1001):
        intake.take(mixed[at : at + 1001])
    assert intake.received == 18_000
    intake.take(third)
    assert intake.complete
    assert intake.received == 27_000
    assert [(tmp_path / "into" / name).read_bytes() for name in "abc"] == contents


@pytest.mark.parametrize("number", [1, 7])
def test_refuses_content_that_nobody_asked_for(intake: Intake, number: int) -> None:
    intake.take([entry("a", size=1), entry("b")])
    with pytest.raises(errdefs.InvalidArgument, match="invalid file request"):
        intake.take(data(number, b"x"))


def test_refuses_entries_behind_the_last(intake: Intake) -> None:
    intake.take([entry("a"), END])
    with pytest.raises(errdefs.InvalidArgument, match="behind the last"):
        intake.take([entry("b")])


def test_tells_what_the_sender_failed_with(intake: Intake) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="error from sender: open x: permission denied"):
        intake.take([Packet(type=Packet.PACKET_ERR, data=b"open x: permission denied")])


@pytest.mark.parametrize(
    "strange",
    [
        entry("a" * 300),
        entry("a", filemode.DEVICE | filemode.CHARACTER | 0o600, devmajor=-1, devminor=2**60),
        entry("a", LINK, linkname=""),
        entry("a", modTime=-(2**63)),
    ],
)
def test_what_no_file_can_be_is_no_failure_of_ours_alone(intake: Intake, strange: Packet) -> None:
    with contextlib.suppress(errdefs.WherryError):
        intake.take([strange])


def test_attributes_of_the_daemons_own_are_not_taken(intake: Intake, tmp_path: Path) -> None:
    intake.take([entry("d", DIRECTORY, xattrs={"trusted.overlay.opaque": b"y", "user.a": b"b"}), END])
    assert os.listxattr(tmp_path / "into" / "d") == ["user.a"]


def test_what_is_sent_arrives(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    tree(source)
    flow, intake = Outflow(source), Intake(target)
    try:
        while packets := flow.entries():
            asked = intake.take(packets)
            while asked:
                packets = [packet for each in asked for packet in flow.content(each.ID)]
                asked = intake.take(packets)
        assert intake.complete
    finally:
        flow.close()
        intake.close()
    assert listing(target) == listing(source)


def tree(place: Path) -> None:
    """More directories than a descriptor each would be sensible for, and all kinds of files."""
    deep = place
    for _ in range(150):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(bytes(range(256)) * 400)
    for name in ("a", "a.b", "a-", "A", "ä", "empty", os.fsdecode(b"\xff\n")):
        (place / name).write_bytes(b"" if name == "empty" else os.fsencode(name))
        os.chmod(place / name, 0o640)
    (place / "a" / "..").resolve()
    (place / "sub").mkdir(mode=0o750)
    (place / "sub" / "x").write_text("x")
    os.link(place / "sub" / "x", place / "z")
    (place / "link").symlink_to("sub/x")
    (place / os.fsdecode(b"\xfe")).symlink_to(os.fsdecode(b"\xff"))
    os.mkfifo(place / "fifo", 0o600)
    os.utime(place / "sub", ns=(10**18, 10**18))


def listing(place: Path) -> dict[str, tuple[object, ...]]:
    """All that matters of a tree."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(place.rglob("*")):
        status = os.lstat(path)
        content: object = os.readlink(path) if path.is_symlink() else ""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(place))] = (
            status.st_mode,
            status.st_uid,
            status.st_nlink if not path.is_dir() else 0,
            status.st_mtime_ns,
            content,
        )
    return found


def test_a_file_that_nobody_has_cannot_be_asked_for(tmp_path: Path) -> None:
    flow = Outflow(tmp_path)
    try:
        with pytest.raises(errdefs.InvalidArgument, match="invalid file id 5"):
            list(flow.content(5))
    finally:
        flow.close()


def test_a_name_that_is_no_text_can_be_told_in_one(intake: Intake) -> None:
    name = os.fsdecode(b"\xff")
    wrong = [
        entry(f"{name}/.."),
        entry(f"{name}/a"),
        entry(name, linkname=name),
        entry(name, modTime=-(2**63)),
    ]
    wrong.append(entry(name * 300, DIRECTORY))
    for each in wrong:
        with pytest.raises(errdefs.WherryError) as failed:
            intake.take([each])
        assert failed.value.message.encode()


def test_modes_go_both_ways() -> None:
    for mode in (stat.S_IFDIR | 0o1777, stat.S_IFREG | 0o6755, stat.S_IFLNK | 0o777, stat.S_IFBLK | 0o660):
        there = filemode.from_kernel(mode)
        assert filemode.permissions(there) == stat.S_IMODE(mode)
        assert bool(there & filemode.TYPES) == (not stat.S_ISREG(mode))


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "l", "\0", "é"]), min_size=1, max_size=3).map(
    "/".join
)
MODES = st.sampled_from(
    [FILE, DIRECTORY, LINK, filemode.FIFO | 0o600, filemode.SOCKET, filemode.TYPES, 2**32 - 1]
)
ENTRIES = st.builds(
    lambda path, mode, target, size: entry(path, mode, linkname=target, size=size),
    NAMES,
    MODES,
    st.sampled_from(["", "a", "\0", "l/passwd", "../outside/passwd", "/etc/passwd", "../outside"]),
    st.sampled_from([0, 1, 2**62]),
)
CONTENTS = st.builds(
    lambda number, content: Packet(type=Packet.PACKET_DATA, ID=number, data=content),
    st.integers(0, 4),
    st.sampled_from([b"", b"evil"]),
)
PACKETS = st.lists(st.one_of(ENTRIES, ENTRIES, CONTENTS, st.just(END)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(PACKETS)
def test_whatever_a_client_sends_stays_where_it_belongs(packets: list[Packet]) -> None:
    with tempfile.TemporaryDirectory() as root:
        into, outside = Path(root, "into"), Path(root, "outside")
        into.mkdir()
        outside.mkdir()
        (outside / "passwd").write_text("root")
        intake = Intake(into)
        try:
            for packet in packets:
                intake.take([packet])
        except errdefs.WherryError:
            pass
        finally:
            intake.close()
        assert sorted(os.listdir(root)) == ["into", "outside"]
        assert os.listdir(outside) == ["passwd"]
        assert (outside / "passwd").read_text() == "root"
        assert os.stat(outside / "passwd").st_nlink == 1
