"""A daemon that is to die of what it is asked to do."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.daemon import Wherryd


def is_killed_by(mortal: Wherryd, action: Callable[[], object]) -> None:
    """The daemon dies of the action (a point that is never hit fails here), and is started again."""
    dies_of(mortal, action)
    mortal.start()


def dies_of(mortal: Wherryd, action: Callable[[], object]) -> None:
    """The daemon dies of the action; a point that is never hit fails here."""
    worker = threading.Thread(target=_quietly, args=(action,), daemon=True)
    worker.start()
    deadline = time.monotonic() + 60
    while mortal.alive:
        assert time.monotonic() < deadline, "the point was never hit"
        time.sleep(0.01)
    worker.join(20)


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except (OSError, AssertionError):
        pass


def shim_of(pid: int) -> int:
    """The process id of the shim of a container's first process: its parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
