"""The ways to end a running container: stop, kill, `rm -f`."""

from tests.bench.client import Client, WrongSample, expect
from tests.bench.contest import Contest

# An init ignores signals that it has no handler for, and says when it has one.
PATIENT = ("sh", "-c", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait")


def ready(client: Client) -> str:
    """Start a container that ends by itself on SIGTERM, and wait until it can: its id."""
    container = client.create(*PATIENT)
    with client.attach(container) as output:
        client.start(container)
        line = output.reader.readline()
    expect(line.endswith(b"ready\n"), f"it wrote {line!r}")
    return container


def _ended(client: Client, container: str, code: int) -> None:
    state = client.inspect(container)["State"]
    expect((state["Status"], state["ExitCode"]) == ("exited", code), f"{state}")
    client.remove(container)


def _gone(client: Client, container: str) -> None:
    try:
        client.inspect(container)
    except WrongSample:
        return
    raise WrongSample(f"{container} is still there")


def measure(contest: Contest) -> None:
    """Each of a container of its own that is ready for it."""
    for turn in contest.turns(0.6):
        for contender in turn:
            client = contender.client
            container = ready(client)
            with turn.timed("stop", contender):
                client.raw("POST", f"containers/{container}/stop")
            _ended(client, container, 0)
            container = ready(client)
            with turn.timed("kill", contender):
                client.raw("POST", f"containers/{container}/kill")
                client.raw("POST", f"containers/{container}/wait")
            _ended(client, container, 137)
            container = ready(client)
            with turn.timed("remove", contender):
                client.raw("DELETE", f"containers/{container}?force=1")
            _gone(client, container)
