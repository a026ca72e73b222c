"""All tests in two lanes side by side: `python -m tests.lanes`.

Most tests wait for daemons and clocks, so two at once take little more than half the time. A folder that no lane names
is in the first. The virtual machine, which is emulated, has the processors to itself afterwards. Thousands of tests
with real daemons and real clocks on two cores have accidents: a few that failed are run once more, alone, and all of
them must pass then, and to be skipped is not to pass; more than a few is no accident. Both runs are printed.
"""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).resolve().parent
CACHE = TESTS.parent / ".pytest_cache"
SECOND = ("crash", "peer")
ALONE = "vm"
ACCIDENTS = 20
NO_TESTS = 5
_PROGRESS = re.compile(rb"^[.sxXFE]+ +\[ *\d+%\]$")


@dataclass
class Lane:
    """One pytest over some folders. What it says is told when it is done; how far it is, at once."""

    name: str
    folders: list[str]
    status: int = 0
    _said: list[bytes] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        """Where this run keeps what failed."""
        return CACHE / self.name

    @property
    def report(self) -> Path:
        """Where this run tells of each test in XML."""
        return self.cache / "report.xml"

    def run(self) -> None:
        """Run it to its end; its exit status is in `status` then."""
        failed = self.cache / "v/cache/lastfailed"
        failed.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-o",
            f"cache_dir={self.cache}",
            f"--junitxml={self.report}",
            "-q",
            "--durations=25",
            *self.folders,
        ]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=TESTS.parent,
            env={**os.environ, "WHERRY_LEDGER": str(ledger())},
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if _PROGRESS.match(line.rstrip()):
                    _print(self.name.encode() + b" " + line)
                else:
                    self._said.append(line)
        self.status = 0 if child.returncode == NO_TESTS else child.returncode

    def tell(self) -> None:
        """Print what it said."""
        _print(f"\n{self.name}: {' '.join(self.folders)}\n".encode() + b"".join(self._said))

    def failed(self) -> list[str]:
        """Ids of the tests that failed."""
        path = self.cache / "v/cache/lastfailed"
        return list(json.loads(path.read_text())) if path.exists() else []

    def skipped(self) -> list[str]:
        """Names of the tests that were skipped."""
        if not self.report.exists():
            return []
        cases = ElementTree.parse(self.report).iter("testcase")
        return [
            f"{case.get('classname')}.{case.get('name')}"
            for case in cases
            if case.find("skipped") is not None
        ]


def ledger() -> Path:
    """Where the run keeps what was compared with dockerd, for the run of what failed."""
    return CACHE / "ledger.json"


def main() -> int:
    """Run all; return the exit status."""
    ledger().unlink(missing_ok=True)
    first = sorted(
        f"tests/{path.name}"
        for path in TESTS.iterdir()
        if path.is_dir() and path.name not in (*SECOND, ALONE) and any(path.rglob("test_*.py"))
    )
    lanes = [Lane("first", first), Lane("second", [f"tests/{name}" for name in SECOND])]
    threads = [threading.Thread(target=lane.run) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread, lane in zip(threads, lanes, strict=True):
        thread.join()
        lane.tell()
    lanes.append(Lane("alone", [f"tests/{ALONE}"]))
    lanes[-1].run()
    lanes[-1].tell()
    if not any(lane.status for lane in lanes):
        return 0
    failed = [test for lane in lanes for test in lane.failed()]
    if not 0 < len(failed) <= ACCIDENTS or any(lane.status not in (0, 1) for lane in lanes):
        return 1
    return once_more(failed)


def once_more(failed: list[str]) -> int:
    """Run tests that failed, alone; 0 if all of them pass. One that is skipped now has shown nothing."""
    _print(f"\n{len(failed)} failed, once more:\n".encode())
    again = Lane("again", failed)
    again.run()
    again.tell()
    if skipped := again.skipped():
        _print(f"\nskipped, and so not passed: {', '.join(skipped)}\n".encode())
    return again.status or int(bool(skipped))


def _print(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
