"""The contenders, their turns, and what they had."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.client import Client, WrongSample
from tests.bench.measures import MEASURES, OURS, THEIRS
from tests.daemon import Wherryd
from tests.peer.peer import Peer, missing
from tests.roots import make_root

ATTEMPTS = 5
REPOSITORY = Path(__file__).resolve().parent.parent.parent


@dataclass(slots=True)
class Contender:
    """A daemon and a client of it."""

    name: str
    daemon: Wherryd | Peer
    client: Client


@dataclass(slots=True)
class Contest:
    """What a group of measures gets: who contends, how often, and where it notes what came out.

    `scratch` is a directory for what both containers may mount, `load` the machine's load average before anything was
    started, `at_turn` the contender whose turn it is; `theirs_wrong` tells what dockerd did wrong.
    """

    contenders: list[Contender]
    rounds: int
    idle: int
    scratch: Path
    load: float
    at_turn: str = ""
    theirs_wrong: list[str] = field(default_factory=list)
    results: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def note(self, name: str, contender: Contender, value: float) -> None:
        """Note a value, in the unit of the measure of that name."""
        if name not in MEASURES:
            raise KeyError(name)
        self.results.setdefault(name, {}).setdefault(contender.name, []).append(value)

    def turns(self, share: float = 1.0, *, warm_up: bool = True) -> Iterator["Turn"]:
        """As many turns as there are rounds, or a share of them, but three at least.

        One more goes before them, whose times are not noted, unless nothing needs to be warmed up.
        """
        for number in range(-warm_up, max(3, round(self.rounds * share))):
            yield Turn(self, number)


@dataclass(slots=True)
class Turn:
    """Each contender once; who is first changes from turn to turn."""

    contest: Contest
    number: int

    def __iter__(self) -> Iterator[Contender]:
        for contender in self.contest.contenders[:: -1 if self.number % 2 else 1]:
            self.contest.at_turn = contender.name
            yield contender

    def note(self, name: str, contender: Contender, value: float) -> None:
        """Note a value unless this turn is the warm-up."""
        if self.number >= 0:
            self.contest.note(name, contender, value)

    def take(self, name: str, contender: Contender, sample: Callable[[], float]) -> None:
        """Note what a sample gives. One that dockerd gets wrong is told, and taken again.

        Under load a run of its sometimes has no output, though its attach was answered before the start was asked for.
        """
        for _ in range(ATTEMPTS):
            try:
                self.note(name, contender, sample())
                return
            except WrongSample as error:
                if contender.name == OURS:
                    raise
                self.contest.theirs_wrong.append(f"{name}: {error}")
        raise WrongSample(f"{ATTEMPTS} times, at last {self.contest.theirs_wrong[-1]}")

    @contextmanager
    def timed(self, name: str, contender: Contender) -> Iterator[None]:
        """Note the ms that the body took. A body that fails has no time."""
        began = time.perf_counter()
        yield
        self.note(name, contender, (time.perf_counter() - began) * 1000)


@contextmanager
def contest(rounds: int, idle: int) -> Iterator[Contest]:
    """Start both daemons with the image busybox, and take them away. Without a dockerd, wherry is alone."""
    load = os.getloadavg()[0]
    scratch = make_root("bench-")
    try:
        with started(make_root) as contenders:
            yield Contest(contenders, rounds, idle, scratch, load)
    finally:
        shutil.rmtree(scratch)


@contextmanager
def started(make_root: Callable[[str], Path]) -> Iterator[list[Contender]]:
    """Both daemons with the image busybox, each with a root that is made with that prefix; gone afterwards."""
    daemons: dict[str, Wherryd | Peer] = {OURS: Wherryd(make_root("wherry-"))}
    if reason := missing():
        print(f"without dockerd, {reason}", file=sys.stderr)
    else:
        daemons[THEIRS] = Peer(make_root("peer-"))
    tar = busybox()
    contenders = [Contender(name, daemon, Client(daemon.socket)) for name, daemon in daemons.items()]
    try:
        for contender in contenders:
            contender.daemon.start()
            contender.daemon.docker("import", "--change", 'CMD ["sh"]', "-", "busybox:latest", stdin=tar)
        yield contenders
    finally:
        for contender in contenders:
            contender.client.close()
            contender.daemon.destroy()


def busybox() -> bytes:
    """The files of the image, for `docker import -`."""
    script = REPOSITORY / "contrib/scripts/busybox_image.py"
    return subprocess.run([sys.executable, "-I", script], check=True, capture_output=True).stdout
