"""COPY, ADD and WORKDIR: what a dockerd 26.1.5 with BuildKit was seen to make of the same context, file by file."""

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from errdefs import InvalidArgument, NotFound
from runtime.copying.order import Action, CopyFiles, MakeDirectory, MakeFile, Selection
from runtime.copying.workers import Workers
from tests.integration.build.files.trees import OLD, listed

pytestmark = pytest.mark.root
D = [
    "-rws--x--x 0:0 old {}/g '2\\n'",
    "-rws--x--x 0:0 old {}/hard '2\\n'",
    "lrwxrwxrwx 0:0 new {}/l -> g",
    "drwxr-x--- 0:0 old {}/sub",
    "-rw-r--r-- 0:0 old {}/sub/h '3\\n'",
]


def copy(*paths: str, to: str, **options: object) -> CopyFiles:
    """A COPY from the first source."""
    selection = Selection(
        list(paths),
        bool(options.pop("parents", False)),
        list(options.pop("exclude", [])),  # type: ignore[call-overload]
    )
    return CopyFiles(0, selection, to, **options)  # type: ignore[arg-type]


def below(name: str) -> list[str]:
    return [line.format(name) for line in D]


CASES: dict[str, tuple[list[Action], list[str]]] = {
    "a directory gives its content, and is itself as any": (
        [copy("d", to="/dir"), copy("d/", to="/dir2/")],
        ["drwxr-xr-x 0:0 old dir", *below("dir"), "drwxr-xr-x 0:0 old dir2", *below("dir2")],
    ),
    "a file to a name, and into a directory that is made": (
        [copy("f", to="/x"), copy("f", to="/y/")],
        ["-rw-r--r-- 0:0 old x '1\\n'", "drwxr-xr-x 0:0 new y", "-rw-r--r-- 0:0 old y/f '1\\n'"],
    ),
    "owner and mode, of what is made on the way the owner alone": (
        [copy("f", to="/p/q/r", owner="1:2", mode="0640"), copy("f", to="/w", owner="7")],
        [
            "drwxr-xr-x 1:2 new p",
            "drwxr-xr-x 1:2 new p/q",
            "-rw-r----- 1:2 old p/q/r '1\\n'",
            "-rw-r--r-- 7:7 old w '1\\n'",
        ],
    ),
    "a name that nobody has is root": (
        [copy("f", to="/x", owner="nosuch:neither")],
        ["-rw-r--r-- 0:0 old x '1\\n'"],
    ),
    "links that are named are followed, and keep their names": (
        [copy("top", to="/t1"), copy("d/l", "abs", to="/t2/")],
        [
            "-rws--x--x 0:0 old t1 '2\\n'",
            "drwxr-xr-x 0:0 new t2",
            "-rw-r--r-- 0:0 old t2/abs '1\\n'",
            "-rws--x--x 0:0 old t2/l '2\\n'",
        ],
    ),
    "wildcards": (
        [copy("nothing*", to="/x/"), copy("*/g", to="/y/"), copy("d*/sub", to="/z")],
        [
            "drwxr-xr-x 0:0 new y",
            "-rws--x--x 0:0 old y/g '2\\n'",
            "drwxr-xr-x 0:0 old z",
            "-rw-r--r-- 0:0 old z/h '3\\n'",
        ],
    ),
    "a malformed pattern finds nothing": ([copy("d/[", "[a-", to="/x/")], []),
    "a working directory": (
        [MakeDirectory("/a/b", "3:4")],
        ["drwxr-xr-x 3:4 new a", "drwxr-xr-x 3:4 new a/b"],
    ),
    "heredocs": (
        [MakeFile("/h", "one", "1", "1:2", "755"), MakeDirectory("/dd"), MakeFile("/dd", "two", "2")],
        ["drwxr-xr-x 0:0 new dd", "-rw-r--r-- 0:0 new dd/two '2'", "-rwxr-xr-x 1:2 new h '1'"],
    ),
    "what was copied is replaced": (
        [copy("f", to="/x"), copy("d/g", to="/x")],
        ["-rws--x--x 0:0 old x '2\\n'"],
    ),
    "symbolic modes": (
        [copy("f", to="/x", mode="u+x,go="), copy("d", to="/y", mode="a=rX")],
        [
            "-rwx------ 0:0 old x '1\\n'",
            "drwxr-xr-x 0:0 old y",
            "-r-xr-xr-x 0:0 old y/g '2\\n'",
            "-r-xr-xr-x 0:0 old y/hard '2\\n'",
            "lrwxrwxrwx 0:0 new y/l -> g",
            "dr-xr-xr-x 0:0 old y/sub",
            "-r--r--r-- 0:0 old y/sub/h '3\\n'",
        ],
    ),
    "parents": (
        [copy("d/sub/h", to="/p", parents=True), copy("/d/./sub", to="/q/", parents=True)],
        [
            "drwxr-xr-x 0:0 new p",
            "drwx------ 0:0 old p/d",
            "drwxr-x--- 0:0 old p/d/sub",
            "-rw-r--r-- 0:0 old p/d/sub/h '3\\n'",
            "drwxr-xr-x 0:0 old q",
            "drwxr-x--- 0:0 old q/sub",
            "-rw-r--r-- 0:0 old q/sub/h '3\\n'",
        ],
    ),
    "parents by a pattern of many levels": (
        [copy("**/h", to="/p", parents=True)],
        [
            "drwxr-xr-x 0:0 new p",
            "drwx------ 0:0 old p/d",
            "drwxr-x--- 0:0 old p/d/sub",
            "-rw-r--r-- 0:0 old p/d/sub/h '3\\n'",
        ],
    ),
    "what is excluded, and what is not after all": (
        [copy("d", to="/x", exclude=["sub", "l"]), copy("d", to="/y", exclude=["*", "!sub/h"])],
        [
            "drwxr-xr-x 0:0 old x",
            "-rws--x--x 0:0 old x/g '2\\n'",
            "-rws--x--x 0:0 old x/hard '2\\n'",
            "drwxr-xr-x 0:0 old y",
            "drwxr-x--- 0:0 old y/sub",
            "-rw-r--r-- 0:0 old y/sub/h '3\\n'",
        ],
    ),
    "what is excluded of a pattern's files": (
        [copy("*", to="/x/", exclude=["f", "a*", "dang", "top", "g", "hard", "l", "sub"])],
        ["drwxr-xr-x 0:0 new x", "-rw-r--r-- 0:0 new x/empty ''"],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_files_are_as_dockerd_makes_them(workers: Workers, root: Path, source: Path, case: str) -> None:
    actions, expected = CASES[case]
    await workers.change(root, [source], actions)
    found = listed(root)
    # The time of a directory that was not excluded by itself is that of when something was made in it.
    assert found == expected or [line.replace("old x", "new x") for line in expected] == found


REFUSED: dict[str, tuple[list[Action], type[Exception], str]] = {
    "no such file": ([copy("miss", to="/x/")], NotFound, '"/miss": not found'),
    "no such file in a directory": ([copy("d/miss", to="/x/")], NotFound, '"/d/miss": not found'),
    "a link to nothing": ([copy("dang", to="/x")], NotFound, '"/no/where": not found'),
    "no directory for a pattern": ([copy("nodir/*", to="/x")], NotFound, '"/nodir": not found'),
    "what parents must find": ([copy("d/./miss", to="/x", parents=True)], NotFound, '"/d/miss": not found'),
    "a file onto a directory": (
        [copy("f", to="/x/f/g"), copy("f", to="/x/")],
        InvalidArgument,
        "cannot replace to directory /x/f with file",
    ),
    "a directory onto a file": (
        [copy("f", to="/x"), copy("d", to="/x")],
        InvalidArgument,
        "cannot copy to non-directory: /x",
    ),
    "a directory into a file": (
        [copy("f", to="/x"), copy("d", to="/x/")],
        InvalidArgument,
        "mkdir /x: not a directory",
    ),
    "a file into a file": (
        [copy("f", to="/x"), copy("f", to="/x/")],
        InvalidArgument,
        "mkdir /x: not a directory",
    ),
    "a nested directory onto a file": (
        [copy("f", to="/sub"), copy("d", to="/")],
        InvalidArgument,
        "cannot copy to non-directory: /sub",
    ),
    "a file below a file": (
        [MakeFile("/h/", "one", "1"), MakeFile("/h/one/x", "one", "1")],
        InvalidArgument,
        "mkdir /h/one: not a directory",
    ),
    "a file far below a file": (
        [copy("f", to="/x"), copy("f", to="/x/y/z")],
        InvalidArgument,
        "lstat /x/y: not a directory",
    ),
    "a link to itself": (
        [copy("f", to="/loop")],
        InvalidArgument,
        "too many links",
    ),
    "a NUL": ([copy("a\0b", to="/x")], InvalidArgument, "a path holds a NUL byte"),
    "a mode that is none": (
        [copy("f", to="/x", mode="888")],
        InvalidArgument,
        "invalid chmod parameter: '888'. it should be octal string and between 0 and 07777",
    ),
    "a bad pattern": ([copy("d", to="/x", exclude=["["])], InvalidArgument, "syntax error in pattern"),
    "a name that is too long": ([copy("f", to="/" + "x" * 256)], InvalidArgument, "cannot copy"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_is_refused_in_buildkits_words(
    workers: Workers, root: Path, source: Path, case: str
) -> None:
    actions, kind, message = REFUSED[case]
    (root / "loop").symlink_to("loop")
    with pytest.raises(kind, match=r".*") as raised:
        await workers.change(root, [source], actions)
    assert str(raised.value).startswith(message)


async def test_hard_links_holes_xattrs_devices_and_sockets(
    workers: Workers, root: Path, source: Path
) -> None:
    with (source / "hole").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"x" * 100_000)
    os.setxattr(source / "hole", "user.a", b"b")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(source / "f", "security.capability", capability)
    os.setxattr(source / "f", "trusted.overlay.opaque", b"y")
    os.mkfifo(source / "fifo", 0o640)
    os.mknod(source / "block", stat.S_IFBLK, os.makedev(7, 3))
    (source / "block").chmod(0o660)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "socket"))
    await workers.change(root, [source], [copy("*", to="/x/", exclude=["dang"]), copy("/", to="/all")])
    assert (root / "all/d/g").stat().st_ino == (root / "all/d/hard").stat().st_ino
    assert (root / "all/hole").stat().st_blocks < 1024
    assert (root / "all/hole").read_bytes() == (source / "hole").read_bytes()
    assert os.getxattr(root / "x/hole", "user.a") == os.getxattr(root / "all/hole", "user.a") == b"b"
    assert os.getxattr(root / "all/f", "security.capability") == capability
    assert os.listxattr(root / "all/f") == ["security.capability"]
    for name in ("x", "all"):
        assert stat.filemode((root / name / "fifo").stat().st_mode) == "prw-r-----"
        assert (root / name / "block").stat().st_rdev == os.makedev(7, 3)
        assert stat.filemode((root / name / "block").stat().st_mode) == "brw-rw----"
        assert stat.S_ISREG((root / name / "socket").stat().st_mode)


async def test_times_are_those_of_the_epoch_where_there_are_none(
    workers: Workers, root: Path, source: Path
) -> None:
    actions: list[Action] = [
        copy("f", to="/a/b/"),
        copy("/", to="/c", exclude=["*"]),
        MakeFile("/d/", "e", ""),
        MakeDirectory("/f/g"),
    ]
    await workers.change(root, [source], actions, OLD)
    assert {line.split()[2] for line in listed(root)} == {"old"}
    assert len(listed(root)) == 8


async def test_names_and_groups_are_those_of_the_root(workers: Workers, root: Path, source: Path) -> None:
    await workers.change(root, [source], [MakeFile("/etc/passwd", "", "joe:x:1001:100::/:\n")])
    await workers.change(root, [source], [MakeFile("/etc/group", "", "them:x:77:\n")])
    owners = {
        "joe": "1001:100",
        "joe:them": "1001:77",
        "5:them": "5:77",
        "joe:9": "1001:9",
        "1001": "1001:1001",
    }
    for number, (owner, expected) in enumerate(owners.items()):
        await workers.change(root, [source], [copy("f", to=f"/x{number}", owner=owner)])
        found = (root / f"x{number}").stat()
        assert f"{found.st_uid}:{found.st_gid}" == expected


async def test_links_of_the_destination_lead_within_the_root(
    workers: Workers, root: Path, source: Path
) -> None:
    (root / "real").mkdir()
    (root / "abs").symlink_to("/real")
    (root / "up").symlink_to("../../../real")
    (root / "later").symlink_to("/not/yet")
    await workers.change(
        root,
        [source],
        [copy("f", to="/abs/1"), copy("f", to="/up"), copy("d/sub", to="/later"), copy("f", to="/later/./")],
    )
    assert sorted(path.name for path in (root / "real").iterdir()) == ["1", "f"]
    assert sorted(path.name for path in (root / "not/yet").iterdir()) == ["f", "h"]
    assert (root / "abs").is_symlink()
    assert (root / "later").is_symlink()


def make_archives(source: Path) -> None:
    """a.tar in every compression; archives that are none."""
    subprocess.run(["tar", "cf", "a.tar", "f", "d/g"], cwd=source, check=True)
    for command in ("gzip -k", "bzip2 -k", "xz -k", "zstd -qk"):
        subprocess.run([*command.split(), "a.tar"], cwd=source, check=True)
    subprocess.run(["tar", "cf", "none.tar", "-T", "/dev/null"], cwd=source, check=True)
    (source / "broken.gz").write_bytes((source / "a.tar.gz").read_bytes()[:40])


async def test_archives_are_unpacked(workers: Workers, root: Path, source: Path) -> None:
    make_archives(source)
    for suffix in ("", ".gz", ".bz2", ".xz", ".zst"):
        await workers.change(root, [source], [copy(f"a.tar{suffix}", to="/u", unpack=True)])
        assert (root / "u/d/g").stat().st_mode & 0o7777 == 0o4711
        assert (root / "u/f").stat().st_mtime == OLD
        await workers.change(root, [source], [copy("f", to="/u/f")])
    await workers.change(
        root, [source], [copy("none.tar", "empty", "broken.gz", "f", to="/e/", unpack=True, mode="600")]
    )
    assert sorted(path.name for path in (root / "e").iterdir()) == ["broken.gz", "empty", "f", "none.tar"]
    await workers.change(root, [source], [copy("a.tar", to="/c", unpack=True, owner="3:4")])
    assert [line.split()[1] for line in listed(root / "c") if not line.startswith("d")] == ["3:4", "3:4"]
    assert not (root / "a.tar").exists()
