"""The one table of the differences from dockerd 26.1.5 that are meant, each with its reason.

A line that nothing meets in a run of the whole suite fails it (`test_whole.py`).
"""

from tests.peer.accepted import (
    archive,
    builds,
    containers,
    everywhere,
    host_config,
    images,
    networks,
    system,
    volumes,
)
from tests.peer.accepted.line import Accepted

ACCEPTED: tuple[Accepted, ...] = (
    *everywhere.LINES,
    *containers.LINES,
    *archive.LINES,
    *builds.LINES,
    *host_config.LINES,
    *images.LINES,
    *networks.LINES,
    *volumes.LINES,
    *system.LINES,
)

__all__ = ["ACCEPTED", "Accepted"]
