"""A daemon whose data root is a small filesystem of its own, which can be filled to its last byte."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.daemon import Wherryd
from tests.roots import make_root

BALLAST = "lost+found"  # a name that a new data root may have


class SmallDisk(Wherryd):
    """On a tmpfs, or on an ext4 in a file, of that many MiB."""

    def __init__(self, root: Path, filesystem: str, size: int) -> None:
        super().__init__(root)
        self.data_root.mkdir()
        if filesystem == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(self.data_root))
            return
        image = root / "disk.img"
        with image.open("wb") as file:
            file.truncate(size << 20)
        # Without blocks that only root may use: this is root. Without a first lost+found: that is the ballast's name.
        _run("mkfs.ext4", "-q", "-m", "0", "-J", "size=4", str(image))
        _run("mount", "-o", "loop", str(image), str(self.data_root))
        (self.data_root / BALLAST).rmdir()

    def fill(self) -> None:
        """Leave not a byte free."""
        with (self.data_root / BALLAST).open("ab", buffering=0) as ballast:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        ballast.write(b"x" * size)
                except OSError:
                    continue

    def leave(self, size: int) -> None:
        """Leave so many bytes free, or a few more."""
        self.fill()
        ballast = self.data_root / BALLAST
        os.truncate(ballast, max(0, ballast.stat().st_size - size))
        self.sync()  # ext4 gives freed blocks out again once their end is on the disk

    def sync(self) -> None:
        """Have all on this disk that belongs there, and nothing of others' disks."""
        _run("sync", "--file-system", str(self.data_root))

    def free(self) -> None:
        """Give the space back."""
        (self.data_root / BALLAST).unlink(missing_ok=True)

    def destroy(self) -> None:
        """As of every daemon, and the filesystem goes."""
        self.free()
        try:
            if self.answers() and (ids := self.docker("ps", "-aq").stdout.split()):
                self.docker("rm", "-f", *ids)
            self.terminate()
        finally:
            try:
                _unmount(self.data_root)
            finally:
                super().destroy()


def small_disks(busybox_tar: Path, filesystem: str, size: int) -> Iterator[SmallDisk]:
    """What a fixture yields from: a running daemon with busybox, on a filesystem of that many MiB."""
    with SmallDisk(make_root(), filesystem, size).running(busybox_tar) as daemon:
        yield daemon


def _unmount(path: Path) -> None:
    """Errors: AssertionError that names who still is at work there; the filesystem goes all the same.

    What the kernel itself holds for a while has no name and fails nothing.
    """
    deadline = time.monotonic() + 10
    while (done := subprocess.run(["umount", path], check=False, capture_output=True, text=True)).returncode:
        if time.monotonic() > deadline:
            found = users(path)
            _run("umount", "--lazy", str(path))
            assert not found, f"{done.stderr}" + "\n".join(found)
            return
        time.sleep(0.1)


def users(path: Path) -> list[str]:
    """Who is at work below a path: what each process has open or maps there, and the mounts below it."""
    within, found = re.compile(rf" {re.escape(str(path))}[/ ]"), []
    for process in Path("/proc").glob("[0-9]*"):
        links = [task / kind for task in _listed(process / "task") for kind in ("cwd", "root")]
        links += [process / "exe", *_listed(process / "fd")]
        lines = [f"{link} is {_target(link)} " for link in links] + _lines(process / "maps")
        found += [f"{_lines(process / 'comm')}: {line}" for line in lines if within.search(line)]
    below = (line for line in _lines(Path("/proc/self/mountinfo")) if f" {path}/" in line)
    return found + [f"mounted below: {line}" for line in below]


def _lines(path: Path) -> list[str]:
    """None of a process that is gone, or that even root may not look at."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
