"""Whose CPU a container costs: the runtime's, the shim's, the daemon's, the client's; of `docker run --rm -i`.

The daemon's is read from its processes' CPU clocks, the client's from its wait4. That of what comes and goes is told by
the kernel when it ends, less what a task ran after its last switch: 2 to 3 % are missing. runc's share has the
container's init, which is runc until it executes `cat`, and what runc starts; the shim's has whatever starts it.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from tests.bench.client import expect
from tests.bench.contest import Contender, Contest
from tests.bench.groups.runs import environment
from tests.bench.processes import cpu_of, parent, processes
from tests.bench.taskstats import Ended, NotThere, Taskstats

KINDS = ("runc", "shim", "daemon", "client")
SETTLE = 0.3  # seconds until the last of it has ended
SHIMS = ("wherry-shim", "containerd-shim")
DAEMONS = ("dockerd", "exe", "libnetwork-setk")
"""How dockerd calls itself where runc executes it as a hook."""


def measure(contest: Contest) -> None:
    """One run after another. Where the kernel does not tell, nothing is noted."""
    try:
        kernel = Taskstats()
    except NotThere as error:
        print(f"whose CPU it is remains unknown: {error}", file=sys.stderr)
        return
    for turn in contest.turns(0.6):
        for contender in turn:
            used = _of_a_run(contender, kernel, f"cpu{turn.number}")
            for kind in KINDS:
                turn.note(f"cpu-{kind}", contender, used[kind] * 1000)
            turn.note("cpu-sum", contender, sum(used.values()) * 1000)
    kernel.close()


def _of_a_run(contender: Contender, kernel: Taskstats, name: str) -> dict[str, float]:
    """The CPU-seconds of each kind."""
    daemon = processes(contender.daemon.root)
    before = sum(map(cpu_of, daemon))
    kernel.drain()
    argv = ["docker", "run", "--rm", "-i", "--network", "none", "--name", name, "busybox", "cat"]
    cli = subprocess.Popen(
        argv, env=environment(contender), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert cli.stdin is not None
    assert cli.stdout is not None
    cli.stdin.write(b"hello\n")
    expect(cli.stdout.read(6) == b"hello\n", f"{contender.name}'s cat says something else")
    while not (init := contender.client.inspect(name)["State"]["Pid"]):  # its start is not answered yet
        time.sleep(0.002)
    shim = parent(init)
    cli.stdin.close()
    _, status, usage = os.wait4(cli.pid, 0)
    cli.returncode = os.waitstatus_to_exitcode(status)
    cli.stdout.close()
    expect(cli.returncode == 0, f"{contender.name}'s run exited {cli.returncode}")
    time.sleep(SETTLE)
    used = Genealogy(frozenset(daemon), frozenset({shim})).shares(kernel.drain())
    used["client"] += usage.ru_utime + usage.ru_stime
    used["daemon"] += sum(map(cpu_of, daemon)) - before
    return used


@dataclass(frozen=True, slots=True)
class Genealogy:
    """Tells what belongs to a daemon: its descendants, and the shim's, which may have been handed to init."""

    daemon: frozenset[int]
    shims: frozenset[int]

    def shares(self, ended: list[Ended]) -> dict[str, float]:
        """The CPU-seconds of what ended, by kind. The daemon's own threads are in its clock already."""
        parents = {task.process: task.parent for task in ended}
        used = dict.fromkeys(KINDS, 0.0)
        for task in ended:
            if kind := self._kind(task, parents):
                used[kind] += task.cpu / 1e9
        return used

    def _kind(self, task: Ended, parents: dict[int, int]) -> str:
        above = self._origin(task.process, parents)
        if task.process in self.daemon or above is None:
            return ""
        if task.process in self.shims or (above in self.daemon and task.comm.startswith(SHIMS)):
            return "shim"
        return "daemon" if above in self.daemon or task.comm.startswith(DAEMONS) else "runc"

    def _origin(self, process: int, parents: dict[int, int]) -> int | None:
        """The shim, else the process of the daemon, from which a process descends; None for a stranger."""
        seen = set()
        while process not in self.shims and process not in self.daemon:
            if process in seen or process not in parents:
                return None
            seen.add(process)
            process = parents[process]
        return process
