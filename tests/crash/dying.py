"""A daemon that is to die of what it is asked to do."""

import threading
import time
from collections.abc import Callable

from tests.daemon import Wherryd


def is_killed_by(mortal: Wherryd, action: Callable[[], object]) -> None:
    """The daemon dies of the action (a point that is never hit fails here), and is started again."""
    dies_of(mortal, action)
    mortal.start()


def dies_of(mortal: Wherryd, action: Callable[[], object]) -> None:
    """The daemon dies of the action; a point that is never hit fails here."""
    worker = threading.Thread(target=_quietly, args=(action,), daemon=True)
    worker.start()
    deadline = time.monotonic() + 20
    while mortal.alive:
        assert time.monotonic() < deadline, "the point was never hit"
        time.sleep(0.01)
    worker.join(20)


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except (OSError, AssertionError):
        pass
