"""A whole run over the API (create, attach, start, read to the end, wait, remove), and by the CLI."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

from tests.bench.client import Client, Config, expect
from tests.bench.contest import Contender, Contest
from tests.daemon import PATH

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
MANY, AT_ONCE = 40, 8


def run(client: Client, how: Config) -> float:
    """Run `echo hello` as the CLI does: the ms that it took. Nothing of its output may be missing."""
    began = time.perf_counter()
    container = client.create("echo", "hello", **how)
    with client.attach(container) as output:
        client.start(container)
        data = output.reader.read()
    status = client.call("POST", f"containers/{container}/wait")["StatusCode"]
    client.raw("DELETE", f"containers/{container}")
    took = (time.perf_counter() - began) * 1000
    expect(status == 0 and data.endswith(OUTPUT), f"a run exited {status} with the output {data!r}")
    return took


def measure(contest: Contest) -> None:
    """One after another, on each kind of network."""
    for turn in contest.turns():
        for name, how in KINDS.items():
            for contender in turn:
                turn.take(name, contender, partial(run, contender.client, how))


def measure_cli(contest: Contest) -> None:
    """`docker run --rm`, on the default network."""
    for turn in contest.turns():
        for contender in turn:
            turn.take("run-cli", contender, partial(_run_by_cli, contender))


def _run_by_cli(contender: Contender) -> float:
    argv = ["docker", "run", "--rm", "busybox", "echo", "hello"]
    began = time.perf_counter()
    done = subprocess.run(argv, env=environment(contender), capture_output=True, timeout=60)
    took = (time.perf_counter() - began) * 1000
    expect((done.returncode, done.stdout) == (0, OUTPUT), f"{done}")
    return took


def environment(contender: Contender) -> dict[str, str]:
    """The environment of a CLI that speaks to this daemon."""
    home = str(contender.daemon.root)
    return {"PATH": PATH, "HOME": home, "DOCKER_HOST": f"unix://{contender.daemon.socket}"}


def measure_many(contest: Contest) -> None:
    """Runs without a network, eight at once: how many a second."""
    for turn in contest.turns(0.15, warm_up=False):
        for contender in turn:
            turn.take("run-many", contender, partial(_run_many, contender))


def _run_many(contender: Contender) -> float:
    def one(_: int) -> None:
        with closing(Client(contender.client.path)) as client:
            run(client, KINDS["run-none"])

    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(MANY)))
    return MANY / (time.perf_counter() - began)
