"""A move between control groups that was expected does not wait for the kernel, and expecting one moves nobody."""

import os
import time
from pathlib import Path

import pytest

from runtime.cgroups import Moves
from runtime.cgroups.hierarchy import UNIFIED, MountPoint, mount_points
from runtime.cgroups.moves import move_nowhere

COLD = 0.003  # seconds: a first move that takes less leaves nothing to win


def place() -> tuple[str, MountPoint]:
    mounts = mount_points()
    name = UNIFIED if UNIFIED in mounts else next(iter(mounts))
    return name, mounts[name]


def seconds_to_move() -> float:
    began = time.perf_counter()
    move_nowhere(*place())
    return time.perf_counter() - began


def membership() -> str:
    return Path("/proc/self/cgroup").read_text()


def expected(moves: Moves) -> None:
    moves.expect()
    while moves._waiting.locked():
        time.sleep(0.001)


def test_expecting_a_move_changes_no_membership() -> None:
    before, moves = membership(), Moves()
    expected(moves)
    moves.close()
    assert membership() == before


def test_an_expected_move_does_not_wait() -> None:
    moves = Moves()
    cold, warm = [], []
    for _ in range(8):
        time.sleep(0.1)
        cold.append(seconds_to_move())
        time.sleep(0.1)
        expected(moves)
        warm.append(seconds_to_move())
    moves.close()
    if min(cold) < COLD:
        pytest.skip(
            f"a move takes {min(cold) * 1000:.2f} ms here: others make them, or the kernel does not wait"
        )
    assert min(warm) < min(cold) / 2


def test_nothing_is_expected_after_the_end() -> None:
    moves = Moves()
    moves.close()
    moves.expect()


def test_a_group_outside_of_the_mount_is_no_place_to_go(tmp_path: Path) -> None:
    """As inside a container whose groups are mounted from elsewhere: told as an error, which `expect` swallows."""
    name, mount = place()
    with pytest.raises(FileNotFoundError):
        move_nowhere(name, MountPoint(path=mount.path, root="/elsewhere"))
    with pytest.raises(FileNotFoundError):
        move_nowhere("no such controller", mount)
    before = membership()
    with pytest.raises(OSError):  # there is no such file; nothing is made
        move_nowhere(name, MountPoint(path=str(tmp_path), root="/"))
    assert membership() == before
    assert os.listdir(tmp_path) == []
