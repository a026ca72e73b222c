"""Copies while the container swaps all that it can, and copies of images with programs that lie in wait."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

from tests.daemon import Wherryd
from tests.unix_http import call

pytestmark = pytest.mark.root

ROUNDS = 6
SWAP = """
mkdir -p /work/real /keep; echo inside > /work/real/secret
mkdir -p /v/real; echo inside > /v/real/secret
while :; do
  for d in /work /v /b; do
    ln -sfn {canary} $d/tmp; mv -T $d/tmp $d/way 2>/dev/null || rm -rf $d/way
    ln -sfn ../../../../../../../..{canary} $d/tmp; mv -T $d/tmp $d/way 2>/dev/null || rm -rf $d/way
    ln -sfn /proc/1/root{canary} $d/tmp; mv -T $d/tmp $d/way 2>/dev/null || rm -rf $d/way
    rm -f $d/way; mkdir $d/way; echo inside > $d/way/secret; rm -rf $d/way
  done
  mv /mnt /mnt.moved; ln -s {canary} /mnt; rm /mnt; mv /mnt.moved /mnt
done
"""


def digest(directory: Path) -> str:
    """All that is in a directory: names, kinds, modes, owners, times and bytes."""
    found = hashlib.sha256()
    for path in [directory, *sorted(directory.rglob("*"))]:
        at = path.lstat()
        found.update(
            repr((str(path), at.st_mode, at.st_uid, at.st_gid, at.st_mtime_ns, at.st_ctime_ns)).encode()
        )
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the host that no container has."""
    directory = tmp_path_factory.mktemp("canary")
    (directory / "secret").write_text("outside\n")
    (directory / "sub").mkdir()
    return directory


@pytest.fixture
def hostile(wherryd: Wherryd, canary: Path, tmp_path: Path) -> Iterator[str]:
    """A container that swaps files, directories and links without end, also where volumes are mounted."""
    (tmp_path / "bound").mkdir()
    wherryd.docker(
        "run", "-d", "--name", "hostile", "--network", "none", "-v", "swapped:/v", "-v", f"{tmp_path}/bound:/b",
        "-v", "swapped:/mnt/deep/volume", "busybox", "sh", "-c", SWAP.replace("{canary}", str(canary)),
    )  # fmt: skip
    yield "hostile"
    wherryd.docker("rm", "-f", "-v", "hostile")
    wherryd.docker("volume", "rm", "swapped")


def packed(*names: str) -> bytes:
    """An archive of empty and of small files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o777, 5
            archive.addfile(entry, io.BytesIO(b"pwned"))
    return made.getvalue()


def content(body: bytes) -> list[bytes]:
    """The bytes of all regular files of an archive."""
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        files = [archive.extractfile(each) for each in archive if each.isreg()]
        return [file.read() for file in files if file is not None]


def test_swaps(wherryd: Wherryd, hostile: str, canary: Path) -> None:
    before, statuses = digest(canary), set()
    for number in range(ROUNDS):
        for place in ("/work", "/v", "/b", "/mnt/deep/volume"):
            way = quote(f"{place}/way/")
            for method, path, body in (
                ("HEAD", way, None),
                ("GET", way, None),
                ("GET", quote(f"{place}/way/secret"), None),
                ("PUT", way, packed("secret", "sub/new", "new")),
                ("PUT", quote(place), packed("way/secret", "way/new")),
            ):
                if (number + len(place)) % 2 and method == "PUT":
                    continue
                target = f"/v1.45/containers/{hostile}/archive?path={path}"
                answer = call(wherryd.socket, method, target, body)
                statuses.add(answer.status)
                if method == "GET" and answer.status == 200:
                    assert set(content(answer.body)) <= {b"", b"inside\n", b"pwned"}  # "" until it is written
    assert digest(canary) == before
    assert 200 in statuses
    assert statuses <= {200, 400, 404, 409}, statuses


def test_starts_and_ends_meanwhile(wherryd: Wherryd, canary: Path) -> None:
    """A container that ends and starts is looked at as it is: running, or not, and never a root that is gone."""
    script = f"ln -sfn {canary} /way; echo inside > /f; sleep 0.05"
    wherryd.docker(
        "run",
        "-d",
        "--name",
        "brief",
        "--network",
        "none",
        "--restart",
        "always",
        "busybox",
        "sh",
        "-c",
        script,
    )
    try:
        deadline, before = time.monotonic() + 5, digest(canary)
        statuses = []
        while time.monotonic() < deadline:
            answer = call(wherryd.socket, "GET", "/v1.45/containers/brief/archive?path=/f")
            statuses.append(answer.status)
            assert answer.status != 200 or content(answer.body) in ([b"inside\n"], [b""])
            answer = call(wherryd.socket, "HEAD", "/v1.45/containers/brief/archive?path=/bin/busybox")
            assert answer.status == 200, answer
        assert statuses.count(200) > len(statuses) / 2
        assert digest(canary) == before
    finally:
        wherryd.docker("rm", "-f", "brief")


TRAP = "#!/bin/sh\necho caught > /caught\n"
TRAPS = (
    "xz", "unxz", "gzip", "gunzip", "unpigz", "pigz", "bzip2", "zstd", "tar", "docker-untar", "docker-tar", "getent",
    "python3", "sh",
)  # fmt: skip


def trapped_image() -> bytes:
    """A root in which every program that could be called for a copy leaves a mark, and libraries that are none."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for directory in ("bin", "usr/bin", "usr/local/bin", "sbin"):
            for name in TRAPS:
                entry = tarfile.TarInfo(f"{directory}/{name}")
                entry.mode, entry.size = 0o755, len(TRAP)
                archive.addfile(entry, io.BytesIO(TRAP.encode()))
        passwd = b"root:x:0:0::/:/bin/sh\nme:x:7:8::/:/bin/sh\n"
        files = {"etc/nsswitch.conf": b"passwd: trap files\n", "etc/passwd": passwd, "d/f": b"x"}
        for place in ("lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
            for library in ("libnss_trap.so.2", "libnss_files.so.2", "libc.so.6", "libgcc_s.so.1"):
                files[f"{place}/{library}"] = b"\x7fELF is what I am not"
        for library in (os.__file__, encodings_of("idna"), encodings_of("cp437")):
            files[library.lstrip("/")] = b"open('/caught', 'w')\n"
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def encodings_of(name: str) -> str:
    """A module that Python loads only when it is needed."""
    return os.path.join(os.path.dirname(os.__file__), "encodings", f"{name}.py")


def test_nothing_is_executed(wherryd: Wherryd) -> None:
    query = "fromSrc=-&repo=trapped&changes=" + quote('CMD ["true"]')
    assert call(wherryd.socket, "POST", f"/v1.45/images/create?{query}", trapped_image()).status == 200
    wherryd.docker("create", "--name", "trapped", "--user", "me", "trapped")
    try:
        plain = packed("d/new")
        for packing in (bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress):
            target = "/v1.45/containers/trapped/archive?path=/d&copyUIDGID=1"
            answer = call(wherryd.socket, "PUT", target, packing(plain))
            assert answer.status == 200, answer
        answer = call(wherryd.socket, "PUT", "/v1.45/containers/trapped/archive?path=/d", b"\xfd7zXZ\0broken")
        assert answer.status == 400
        for coding in ("identity", "gzip", "deflate"):
            headers = {"Accept-Encoding": coding}
            whole = call(wherryd.socket, "GET", "/v1.45/containers/trapped/archive?path=/", headers=headers)
            assert whole.status == 200
        assert call(wherryd.socket, "HEAD", "/v1.45/containers/trapped/archive?path=/caught").status == 404
        with tarfile.open(
            fileobj=io.BytesIO(
                call(wherryd.socket, "GET", "/v1.45/containers/trapped/archive?path=/d/d/new").body
            )
        ) as archive:
            assert [(each.name, each.uid, each.gid) for each in archive] == [("new", 7, 8)]
    finally:
        wherryd.docker("rm", "trapped")
        wherryd.docker("rmi", "trapped")


def test_many_at_once(wherryd: Wherryd) -> None:
    """Two dozen copies at the same time, of a container that runs and of one that does not."""
    wherryd.docker("run", "-d", "--name", "many", "--network", "none", "busybox", "sleep", "1000")
    wherryd.docker("create", "--name", "still", "--network", "none", "busybox", "true")
    failures: list[object] = []

    def copy(number: int) -> None:
        name = ("many", "still")[number % 2]
        into = f"/v1.45/containers/{name}/archive?path=/tmp"
        answers = [
            call(wherryd.socket, "PUT", into, packed(f"f{number}")),
            call(wherryd.socket, "GET", f"{into}/f{number}"),
        ]
        failures.extend(answer for answer in answers if answer.status != 200)

    try:
        threads = [threading.Thread(target=copy, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
    finally:
        wherryd.docker("rm", "-f", "many", "still")
