"""A whole run over the API: create, attach, start, read to the end, wait, remove."""

from typing import Any

from tests.bench.client import Client, expect
from tests.bench.contest import Contest

OUTPUT = b"hello\n"
PUBLISHED: dict[str, Any] = {
    "network": "bridge",
    "ExposedPorts": {"80/tcp": {}},
    "host": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
}
KINDS: dict[str, dict[str, Any]] = {
    "run-none": {"network": "none"},
    "run-bridge": {"network": "bridge"},
    "run-published": PUBLISHED,
}


def run(client: Client, **how: Any) -> None:
    """Run `echo hello` as the CLI does: nothing of its output may be missing."""
    container = client.create("echo", "hello", **how)
    with client.attach(container) as output:
        client.start(container)
        data = output.reader.read()
    status = client.call("POST", f"containers/{container}/wait")["StatusCode"]
    client.raw("DELETE", f"containers/{container}")
    expect(status == 0 and data.endswith(OUTPUT), lambda: f"exit {status}, output {data!r}")


def measure(contest: Contest) -> None:
    """One after another, on each kind of network."""
    for turn in contest.turns():
        for name, how in KINDS.items():
            for contender in turn:
                with turn.timed(name, contender):
                    run(contender.client, **how)
