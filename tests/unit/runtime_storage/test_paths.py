import ctypes
import errno
import os
import threading
from pathlib import Path

import pytest

from errdefs import InvalidArgument, SystemFailure
from runtime.paths import make_mountpoint, open_in_root, read_in_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "passwd").write_bytes(b"root:x:0:0::/:/bin/sh\n")
    return tmp_path / "root"


def test_absolute_links_and_dotdot_stay_inside(root: Path) -> None:
    (root / "l").symlink_to("/etc")
    (root / "up").symlink_to("../../../etc/passwd")
    assert read_in_root(root, "/l/passwd") == b"root:x:0:0::/:/bin/sh\n"
    assert read_in_root(root, "up") == b"root:x:0:0::/:/bin/sh\n"
    assert read_in_root(root, "../../etc/passwd") == b"root:x:0:0::/:/bin/sh\n"
    (root / "leak").symlink_to(root.parent / "outside" / "secret")
    assert read_in_root(root, "leak") is None


def test_only_regular_files_are_read_and_nothing_hangs(root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to("loop")
    for path in ("loop", "absent", "etc/passwd/x", "x" * 300):
        assert read_in_root(root, path) is None
    (root / "kernel").symlink_to("../../proc/kmsg")
    (root / "chain").symlink_to("kernel")
    for path in ("fifo", "etc", "kernel", "chain"):
        with pytest.raises(InvalidArgument, match="is no regular file"):
            read_in_root(root, path)


def test_a_read_is_bounded(root: Path) -> None:
    (root / "big").write_bytes(b"x" * 11)
    assert read_in_root(root, "big", limit=11) == b"x" * 11
    with pytest.raises(InvalidArgument, match="larger than 10 bytes"):
        read_in_root(root, "big", limit=10)


def test_nul_is_refused(root: Path) -> None:
    with pytest.raises(InvalidArgument):
        read_in_root(root, "etc/passwd\0x")
    with pytest.raises(InvalidArgument):
        make_mountpoint(root, "a\0b", directory=True)


def test_magic_links_are_refused() -> None:
    root_fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        with pytest.raises(OSError, match="symbolic links") as caught:
            open_in_root(root_fd, "/proc/self/root/etc", os.O_PATH)
    finally:
        os.close(root_fd)
    assert caught.value.errno == errno.ELOOP


def test_open_makes_a_file_with_its_mode_and_closes_on_exec(root: Path) -> None:
    root_fd = os.open(root, os.O_PATH | os.O_CLOEXEC)
    fd = open_in_root(root_fd, "/etc/new", os.O_CREAT | os.O_WRONLY, 0o600)
    os.close(root_fd)
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert (root / "etc" / "new").stat().st_mode & 0o7777 == 0o600


def test_mountpoints_are_made_with_their_parents_whatever_the_umask(root: Path) -> None:
    before = os.umask(0o077)
    try:
        make_mountpoint(root, "/a/b/../c", directory=True)
        make_mountpoint(root, "/f/g", directory=False)
    finally:
        os.umask(before)
    assert (root / "a/c").stat().st_mode & 0o7777 == 0o755
    assert (root / "a/b").is_dir()
    assert (root / "f/g").is_file()
    assert (root / "f/g").read_bytes() == b""


def test_what_stands_there_is_left_alone(root: Path) -> None:
    make_mountpoint(root, "/etc/passwd", directory=False)
    make_mountpoint(root, "/etc", directory=True)
    make_mountpoint(root, "/", directory=True)
    assert (root / "etc/passwd").read_bytes().startswith(b"root")


@pytest.mark.parametrize("directory", [True, False])
def test_links_lead_inside_even_when_dangling(root: Path, directory: bool) -> None:
    (root / "run").mkdir()
    (root / "var").mkdir()
    (root / "var/run").symlink_to("/run")
    (root / "dangling").symlink_to(f"../../..{root.parent}/outside/made")
    make_mountpoint(root, "/var/run/docker.sock", directory=directory)
    make_mountpoint(root, "/dangling/x", directory=directory)
    assert (root / "run/docker.sock").exists()
    assert os.listdir(root.parent / "outside") == ["secret"]
    assert (root / f"{root.parent}/outside/made/x".lstrip("/")).exists()


def test_the_other_kind_in_the_way_is_told(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    for path, directory in (
        ("/etc/passwd", True),
        ("/etc/passwd/x", True),
        ("/etc", False),
        ("/", False),
        ("/etc/..", False),
        ("/loop", True),
        ("/" + "x" * 300, True),
    ):
        with pytest.raises(InvalidArgument, match="cannot create mountpoint"):
            make_mountpoint(root, path, directory=directory)
    with pytest.raises(SystemFailure):
        make_mountpoint(root / "missing", "/x", directory=True)


def test_a_link_swapped_while_we_walk_never_leads_out(root: Path) -> None:
    """A container may exchange a directory with a link at any moment."""
    (root / "d").mkdir()
    (root / "link").symlink_to(root.parent / "outside")
    libc = ctypes.CDLL(None)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            libc.renameat2(-1, bytes(root / "d"), -1, bytes(root / "link"), 2)  # RENAME_EXCHANGE

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for n in range(500):
            try:
                make_mountpoint(root, f"/d/made-{n}", directory=True)
            except (InvalidArgument, SystemFailure):
                pass
            assert read_in_root(root, "/d/secret") is None
    finally:
        done.set()
        swapper.join()
    assert os.listdir(root.parent / "outside") == ["secret"]
