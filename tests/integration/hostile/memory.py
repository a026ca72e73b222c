"""The most memory that the daemon and its workers had, as the kernel counted it."""

import errno
from pathlib import Path

from tests.bench.taskstats import NotThere, Taskstats

MAIN, WORKER = 100, 60
"""Megabytes that they may have, whatever an image holds."""


class Memory:
    """Watches one daemon from the time it is made. Workers are told of when they end, so none is missed."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        try:
            self._ends: Taskstats | None = Taskstats()
        except NotThere:
            self._ends = None

    @property
    def tells_of_workers(self) -> bool:
        """Whether the kernel tells of processes that end."""
        return self._ends is not None

    def close(self) -> None:
        """Watch no more."""
        if self._ends is not None:
            self._ends.close()

    @property
    def main(self) -> int:
        """The daemon's peak, in megabytes."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10

    @property
    def workers(self) -> int:
        """The largest peak of a worker that has ended, in megabytes; 0 for none, or where the kernel does not tell."""
        if self._ends is None:
            return 0
        while True:
            try:
                ended = self._ends.drain()
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # so much ended meanwhile that some of it is not told
                    raise
            else:
                return max((each.peak for each in ended if each.parent == self._pid), default=0) >> 20
