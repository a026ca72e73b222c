"""Exec of `true` in a running container, to its end."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest

AT_ONCE = 8


def execute(client: Client, container: str) -> None:
    """Make an exec, start it, read to its end, and ask how it ended, as the CLI does."""
    body = {"Cmd": ["true"], "AttachStdout": True, "AttachStderr": True}
    made = client.call("POST", f"containers/{container}/exec", body)["Id"]
    with client.hijack(f"exec/{made}/start", {"Detach": False, "Tty": False}) as output:
        data = output.reader.read()
    code = client.call("GET", f"exec/{made}/json")["ExitCode"]
    expect(code == 0 and not data, f"exec exited {code}, output {data!r}")


@contextmanager
def sleepers(contest: Contest) -> Iterator[dict[str, str]]:
    """A running container of each contender: its id by the contender's name."""
    containers = {contender.name: contender.client.sleeping() for contender in contest.contenders}
    yield containers
    for contender in contest.contenders:
        contender.client.remove(containers[contender.name])


def measure(contest: Contest) -> None:
    """One exec at a time, then eight at once in one container."""
    with sleepers(contest) as containers:
        for turn in contest.turns():
            for contender in turn:
                with turn.timed("exec", contender):
                    execute(contender.client, containers[contender.name])
        for turn in contest.turns(0.5):
            for contender in turn:
                with turn.timed("exec-8", contender):
                    _execute_at_once(contender, containers[contender.name])


def _execute_at_once(contender: Contender, container: str) -> None:
    def one(_: int) -> None:
        with closing(Client(contender.client.path)) as client:
            execute(client, container)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))
