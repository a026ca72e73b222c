"""A9: account files of an image that never end, block whoever opens them, or lead to the host's."""

import os
import tarfile
import time
from pathlib import Path

import pytest

from tests.integration.hostile.doors import Gate, docker_archive_door
from tests.integration.images.archives import Made
from tests.integration.storage.archives import directory, member, symlink, tar

pytestmark = pytest.mark.root


def sparse(name: str, size: int, data: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    """A file of a hole, with something at its beginning."""
    fields = {"GNU.sparse.size": str(size), "GNU.sparse.map": f"0,{len(data)}"}
    return member(name, data=data, pax_headers=fields)


def cases(canary: str) -> dict[str, list[tuple[tarfile.TarInfo, bytes]]]:
    """What stands at one place, by its name."""
    zero = member("zero", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=5)
    return {
        "a fifo": [member("f", tarfile.FIFOTYPE)],
        "a device without end": [member("f", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=5)],
        "a link to a device without end": [zero, symlink("f", "/zero")],
        "a link to /dev/zero": [symlink("f", "/dev/zero")],
        "a link to what the kernel tells": [symlink("f", "/proc/kmsg")],
        "a link to the host's": [symlink("f", f"{canary}/etc/passwd")],
        "a link to the host's from above": [symlink("f", "../" * 16 + f"{canary}/etc/passwd")],
        "a link to itself": [symlink("f", "f")],
        "a directory": [directory("f")],
        "10 GB of nothing": [sparse("f", 10 << 30)],
        "10 GB after a line": [sparse("f", 10 << 30, b"canary:x:0:0::/:\n")],
        "a line of a megabyte": [member("f", data=b"x" * (1 << 20))],
        "a million lines": [member("f", data=b":\n" * 500_000)],
        "a group of all": [member("f", data=b"g:x:1:" + b"a," * 400_000)],
        "bytes that are no text": [member("f", data=b"\xff\xfe\0\n" * 1000)],
    }


# The last is the runtime's own: it reads lines of 64 KiB at most.
REFUSALS = ("is larger than", "line longer than", "is no regular file", "token too long")
CASES = sorted(cases(""))


@pytest.mark.parametrize("case", CASES)
def test_account_files(gate: Gate, busybox_tar: Path, canary: Path, case: str) -> None:
    """Bounded, without a wait, and never the host's: the user of the canary's file is not found."""
    made = {f"etc/{name}": cases(str(canary))[case] for name in ("passwd", "group")}
    entries = [(_renamed(info, place), data) for place, members in made.items() for info, data in members]
    assert docker_archive_door(gate, Made(layers=[busybox_tar.read_bytes(), tar(entries)])).error == ""
    began = time.monotonic()
    for user, accepted in (("canary", False), ("1000:daemons", False), ("1000:1000", True)):
        done = gate.daemon.docker("run", "--rm", "--user", user, "hostile:1", "id", "-u", check=False)
        assert (done.stdout == "1000\n") == (done.returncode == 0), done.stderr
        if done.returncode:
            assert "unable to find" in done.stderr or any(text in done.stderr for text in REFUSALS), (
                done.stderr
            )
        assert not (done.returncode == 0 and not accepted), done.stderr
    assert time.monotonic() - began < 60


def test_account_files_that_change_under_an_exec(gate: Gate, busybox_tar: Path) -> None:
    """A container puts a fifo in their place: who asks for an exec is answered."""
    gate.import_(busybox_tar.read_bytes())
    started = gate.daemon.docker("run", "-d", "hostile:1", "sleep", "600").stdout.strip()
    try:
        swap = "rm -f /etc/passwd /etc/group; mkfifo /etc/passwd /etc/group"
        gate.daemon.docker("exec", started, "sh", "-c", swap)
        for user in ("canary", "7"):
            done = gate.daemon.docker("exec", "--user", user, started, "id", check=False, timeout=20)
            assert "is no regular file" in done.stdout + done.stderr
    finally:
        gate.daemon.docker("rm", "-f", started)


def _renamed(info: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """The entry under the place that is looked at; a device beside it keeps its name."""
    if info.name == "f":
        info.name = place
        if info.issym() and info.linkname == "f":
            info.linkname = os.path.basename(place)
    return info
