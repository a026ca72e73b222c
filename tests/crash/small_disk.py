"""A daemon whose data root is a small filesystem of its own, which can be filled to its last byte."""

import os
import subprocess
import time
from pathlib import Path

from tests.daemon import Wherryd

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
        os.sync()  # ext4 gives freed blocks out again once their end is on the disk

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
            _unmount(self.data_root)
        super().destroy()


def _unmount(path: Path) -> None:
    """The kernel lets go of what ended processes had open a little after they have ended."""
    deadline = time.monotonic() + 10
    while (done := subprocess.run(["umount", path], check=False, capture_output=True, text=True)).returncode:
        assert time.monotonic() < deadline, f"{done.stderr}{_users(path)}"
        time.sleep(0.1)


def _users(path: Path) -> list[str]:
    """Who has something open below a path."""
    links = [link for kind in ("cwd", "root", "exe", "fd/*") for link in Path("/proc").glob(f"[0-9]*/{kind}")]
    return [
        f"{link} is {os.readlink(link)}" for link in links if os.path.realpath(link).startswith(str(path))
    ]


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
