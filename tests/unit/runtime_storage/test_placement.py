"""The hint that directories lie apart: seen as chattr's T, and in where ext4 puts them."""

import os
import subprocess
from pathlib import Path

import pytest

from runtime.placement import spread
from runtime.snapshots.copy import CopySnapshotter


def _attributes(directory: Path) -> str:
    """As lsattr tells them; skips where the filesystem has none."""
    shown = subprocess.run(["lsattr", "-d", directory], capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        pytest.skip(f"no attributes here: {shown.stderr.strip()}")
    return shown.stdout.split()[0]


def _filesystem(directory: Path) -> str:
    command = ["stat", "-f", "-c", "%T", str(directory)]
    return subprocess.check_output(command, text=True).strip()


def test_the_directory_is_marked_and_keeps_its_other_attributes(tmp_path: Path) -> None:
    if _filesystem(tmp_path) != "ext2/ext3":
        pytest.skip(f"this is {_filesystem(tmp_path)}, and the hint is ext4's")
    subprocess.run(["chattr", "+A", tmp_path], check=True)
    spread(tmp_path)
    spread(tmp_path)
    assert {"A", "T"} <= set(_attributes(tmp_path))
    (tmp_path / "below").mkdir()
    assert "T" not in _attributes(tmp_path / "below")


async def test_snapshots_are_made_apart(tmp_path: Path) -> None:
    if _filesystem(tmp_path) != "ext2/ext3":
        pytest.skip(f"this is {_filesystem(tmp_path)}, and the hint is ext4's")
    snapshots = await CopySnapshotter.open(tmp_path / "snapshots")
    assert "T" in _attributes(tmp_path / "snapshots/tmp")
    for number in range(8):
        await snapshots.prepare(f"c{number}", None)
    # By default all of them are made beside their parent, where inode numbers follow one another.
    numbers = sorted(os.stat(snapshots.upper(f"c{number}")).st_ino for number in range(8))
    assert numbers[-1] - numbers[0] > 1000


@pytest.mark.root
def test_a_filesystem_without_the_hint_is_left_alone(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "ramfs", "none", tmp_path], check=True)
    try:
        spread(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_what_is_no_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Not a directory"):
        spread(Path("/dev/null"))
    with pytest.raises(FileNotFoundError):
        spread(tmp_path / "missing")
