"""Exec of `true` in a running container, to its end."""

from contextlib import ExitStack

from tests.bench.client import Client, expect
from tests.bench.contest import Contest


def execute(client: Client, container: str) -> None:
    """Make an exec, start it, read to its end, and ask how it ended, as the CLI does."""
    body = {"Cmd": ["true"], "AttachStdout": True, "AttachStderr": True}
    made = client.call("POST", f"containers/{container}/exec", body)["Id"]
    with client.hijack(f"exec/{made}/start", {"Detach": False, "Tty": False}) as output:
        data = output.reader.read()
    code = client.call("GET", f"exec/{made}/json")["ExitCode"]
    expect(code == 0 and not data, lambda: f"exec exited {code}, output {data!r}")


def measure(contest: Contest) -> None:
    """One exec at a time."""
    with ExitStack() as stack:
        containers = {}
        for contender in contest.contenders:
            containers[contender.name] = contender.client.sleeping()
            stack.callback(contender.client.remove, containers[contender.name])
        for turn in contest.turns():
            for contender in turn:
                with turn.timed("exec", contender):
                    execute(contender.client, containers[contender.name])
