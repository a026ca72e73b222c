"""Copies that fail by what the container does to its own files: told as its fault, and never as the host's."""

import errno
import fcntl
import io
import os
import sys
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest

from errdefs import InvalidArgument, SystemFailure
from runtime.archive.resource import failure
from runtime.archive.writing import extract
from runtime.layers import names
from runtime.layers.limits import DEFAULT
from tests.daemon import Wherryd
from tests.unix_http import Response, call

pytestmark = pytest.mark.root

SET_FLAGS, IMMUTABLE = 0x40086602, 0x10
"""FS_IOC_SETFLAGS, as 64-bit machines have it: what chattr(1) does."""
SMALL = tuple(f"new/{number}" for number in range(600))
"""Names of more files than are made without a twin."""


def packed(*names: str) -> bytes:
    """An archive of small files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 200
            archive.addfile(entry, io.BytesIO(bytes(200)))
    return made.getvalue()


def put(wherryd: Wherryd, container: str, path: str, body: bytes, options: str = "") -> Response:
    target = f"/v1.45/containers/{container}/archive?path={quote(path)}{options}"
    return call(wherryd.socket, "PUT", target, body)


def test_accounts_that_are_directories(wherryd: Wherryd) -> None:
    """An /etc/passwd that is a directory knows nobody, as one that is a fifo or a link to nothing."""
    script = "rm -f /etc/passwd /etc/group; mkdir /etc/passwd /etc/group"
    wherryd.docker("run", "--name", "odd", "--network", "none", "busybox", "sh", "-c", script)
    wherryd.docker("commit", "--change", "USER me:them", "odd", "odd")
    wherryd.docker("rm", "odd")
    wherryd.docker("create", "--name", "odd", "--network", "none", "odd")
    try:
        answer = put(wherryd, "odd", "/tmp", packed("f"), "&copyUIDGID=1")
        assert answer.status == 400, answer
        assert "unable to find user me" in answer.json["message"]
    finally:
        wherryd.docker("rm", "-f", "odd")
        wherryd.docker("rmi", "odd")


@pytest.mark.parametrize("entries", [("f",), SMALL])
def test_what_it_has_made_read_only(wherryd: Wherryd, entries: tuple[str, ...]) -> None:
    """Who may mount makes a file system read-only that is not told to be."""
    script = "mkdir /t/new; mount -o remount,ro /t; touch /ready; sleep 1000"
    wherryd.docker(
        "run", "-d", "--name", "firm", "--network", "none", "--privileged", "--tmpfs", "/t", "busybox", "sh",
        "-c", script,
    )  # fmt: skip
    try:
        wherryd.docker("exec", "firm", "sh", "-c", "until test -e /ready; do sleep 0.01; done")
        answer = put(wherryd, "firm", "/t", packed(*entries))
        assert answer.status == 400, answer
        assert answer.json["message"] == f"archive entry '{entries[0]}': Read-only file system"
    finally:
        wherryd.docker("rm", "-f", "firm")


def test_a_mount_without_a_place(wherryd: Wherryd) -> None:
    """What is mounted in a directory that the root itself has no more, nor takes any more."""
    wherryd.docker(
        "run", "-d", "--name", "placeless", "--network", "none", "--privileged", "-v", "placeless:/mnt/volume",
        "busybox", "sh", "-c", "mv /mnt /moved; mkdir /mnt; touch /ready; sleep 1000",
    )  # fmt: skip
    inside = ("exec", "placeless", "sh", "-c")
    wherryd.docker(*inside, "until test -e /ready; do sleep 0.01; done")
    place = os.open(f"/proc/{wherryd.state('placeless')['Pid']}/root/mnt", os.O_RDONLY)
    try:
        fcntl.ioctl(place, SET_FLAGS, IMMUTABLE.to_bytes(8, sys.byteorder))
        mounting = "mount -t tmpfs t /mnt; mkdir /mnt/volume; mount --bind /moved/volume /mnt/volume"
        wherryd.docker(*inside, mounting)
        assert call(wherryd.socket, "HEAD", "/v1.45/containers/placeless/archive?path=/bin").status == 400
        answer = put(wherryd, "placeless", "/tmp", packed("f"))
        message = "cannot create mountpoint /mnt/volume: Operation not permitted"
        assert (answer.status, answer.json["message"]) == (400, message)
    finally:
        fcntl.ioctl(place, SET_FLAGS, bytes(8))
        os.close(place)
        wherryd.docker("rm", "-f", "placeless")
        wherryd.docker("volume", "rm", "placeless")


def test_a_directory_that_fills_while_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "archive").write_bytes(packed("d"))
    remove = os.rmdir

    def fill_first(path: str, *, dir_fd: int | None = None) -> None:
        (tmp_path / "d" / "more").touch()
        remove(path, dir_fd=dir_fd)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "rmdir", fill_first)
    with (
        open("archive", "rb") as archive,
        pytest.raises(InvalidArgument, match="archive entry 'd': Directory not empty"),
    ):
        extract(archive.fileno(), DEFAULT, owner=None, keep_kinds=False)


def test_the_hosts_faults_stay_its_own() -> None:
    """A full disk is no container's fault; and of an image's layer none is running."""
    for code in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
        assert isinstance(failure(b"f", OSError(code, os.strerror(code))), SystemFailure)
    for code in (errno.EPERM, errno.EROFS, errno.ENOTEMPTY):
        assert isinstance(failure(b"f", OSError(code, os.strerror(code))), InvalidArgument)
        assert isinstance(names.failure(b"f", OSError(code, os.strerror(code))), SystemFailure)
