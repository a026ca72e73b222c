"""Who "user[:group]" is."""

import tracemalloc

import pytest

from errdefs import InvalidArgument
from runtime.spec.user import MAX_ID, User, resolve

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
joe:x:1000:1001:Joe:/home/joe:/bin/sh
twice:x:1000:7::/nowhere:
1234:x:5:5::/numbers:/bin/sh

short:x:77
"""
GROUP = b"""# comment
root:x:0:
wheel:x:10:root,joe
staff:x:50:joe
joe:x:1001:
"""


def user(uid: int, gid: int, *extra: int, home: str = "") -> User:
    return User(uid=uid, gid=gid, extra_gids=(gid, *extra), home=home)


@pytest.mark.parametrize(
    ("spec", "groups", "expected"),
    [
        ("", [], user(0, 0, 10, home="/root")),
        ("root", [], user(0, 0, 10, home="/root")),
        ("joe", [], user(1000, 1001, 10, 50, home="/home/joe")),
        ("1000", [], user(1000, 1001, 10, 50, home="/home/joe")),
        ("joe:staff", [], user(1000, 50, home="/home/joe")),
        ("joe:50", [], user(1000, 50, home="/home/joe")),
        ("joe:4242", [], user(1000, 4242, home="/home/joe")),
        ("joe:", [], user(1000, 1001, 10, 50, home="/home/joe")),
        (":staff", [], user(0, 50, home="/root")),
        ("1234", [], user(1234, 0)),
        ("4000:4001", [], user(4000, 4001)),
        ("joe", ["staff", "99", "wheel"], user(1000, 1001, 10, 50, 99, home="/home/joe")),
        ("short", [], user(77, 0)),
        (str(MAX_ID), [], user(MAX_ID, 0)),
    ],
)
def test_resolve(spec: str, groups: list[str], expected: User) -> None:
    assert resolve(spec, groups, PASSWD, GROUP) == expected


def test_without_files_only_numbers_are_known() -> None:
    assert resolve("", [], None, None) == user(0, 0)
    assert resolve("5:6", ["7"], None, None) == user(5, 6, 7)
    with pytest.raises(
        InvalidArgument, match=r"^unable to find user joe: no matching entries in passwd file$"
    ):
        resolve("joe", [], None, GROUP)


@pytest.mark.parametrize(
    "spec", ["4294967296", "-1", "root:18446744073709551616", "2147483648", "0:-5", "9" * 5000]
)
def test_ids_out_of_range(spec: str) -> None:
    with pytest.raises(InvalidArgument, match="range 0-2147483647"):
        resolve(spec, [], PASSWD, GROUP)


@pytest.mark.parametrize("spec", ["0x0", "no one", "root:0x0", "root:nobody", "０", " root"])
def test_names_that_are_not_there(spec: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^unable to find (user|group) "):
        resolve(spec, [], PASSWD, GROUP)


@pytest.mark.parametrize(
    "passwd", [b"evil:x:4294967296:0::/:", b"evil:x:-1:0::/:", b"evil:x:7:" + b"9" * 6000 + b"::/:"]
)
def test_the_image_cannot_smuggle_ids(passwd: bytes) -> None:
    with pytest.raises(InvalidArgument, match="range"):
        resolve("evil", [], passwd, None)


def test_files_are_bounded() -> None:
    with pytest.raises(InvalidArgument, match="line longer"):
        resolve("joe", [], b"x" * (2 << 20), None)
    with pytest.raises(InvalidArgument, match="larger"):
        resolve("joe", [], b"x\n" * (9 << 20), None)


def test_many_lines_take_no_memory() -> None:
    group = b"g:x:1:\n" * 20_000 + b"last:x:9:a,joe,b\n"
    tracemalloc.start()
    found = resolve("joe", ["last"], PASSWD, group)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.extra_gids[1:] == (9,)
    assert peak < len(group) // 10


def test_a_user_of_countless_groups_is_refused() -> None:
    group = b"".join(b"g:x:%d:joe\n" % number for number in range(65_537))
    with pytest.raises(InvalidArgument, match="more than 65536 groups"):
        resolve("joe", [], PASSWD, group)


def test_bytes_that_are_no_text_are_other_names() -> None:
    assert resolve("joe", [], b"\xff\xfe:x:3:3::/:\n" + PASSWD, GROUP).uid == 1000
