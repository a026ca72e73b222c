"""Attach: heads, frames, ends and refusals, byte for byte as of a real dockerd."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.peer.comparison import OLD, make_all, remove_all, same_stream
from tests.peer.peer import Both
from tests.peer.steps import stepwise
from tests.unix_http import call
from tests.waiting import eventually

pytestmark = pytest.mark.root

CONTAINERS: dict[str, dict[str, Any]] = {
    "run": {"Cmd": ["sleep", "1000"]},
    "cr": {"Cmd": ["sleep", "1000"]},
    "ex": {"Cmd": stepwise("echo out", "echo err >&2; exit 3")},
    "pa": {"Cmd": ["sleep", "1000"]},
    "cat": {"Cmd": ["cat"], "OpenStdin": True},
    "once": {"Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True},
    **{
        name: {"Cmd": ["sh"], "Tty": True, "OpenStdin": True, "Env": ["PS1=prompt\n"]}
        for name in ("tty", "tty-keys", "tty-exit")
    },
}
OUTPUT = "stream=1&stdout=1&stderr=1"
INPUT = "stream=1&stdin=1&stdout=1"


@pytest.fixture(scope="module", autouse=True)
def _containers(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    make_all(Both(peer_wherryd, peer), CONTAINERS, said=("out",))
    for daemon in (peer_wherryd, peer):
        for name in (each for each, config in CONTAINERS.items() if config.get("Tty")):
            eventually(partial(prompted, daemon.socket, name))
    time.sleep(0.3)  # for what a shell says behind its prompt
    yield
    remove_all(Both(peer_wherryd, peer))


def prompted(where: Path, name: str) -> bool:
    """Whether a shell has asked for a command: who attaches before hears of that, too."""
    return b"prompt" in call(where, "GET", f"/v1.45/containers/{name}/logs?stdout=1").body


def attach(both: Both, name: str, query: str, version: str = "1.45", **how: Any) -> None:
    """Attach to both alike; the same bytes."""
    same_stream(both, f"/containers/{name}/attach?{query}", version=version, **how)


@pytest.mark.parametrize("name", ["nope", "ex", "cr", "pa"])
@pytest.mark.parametrize(
    "query", ["", OUTPUT, "logs=1&stdout=1&stderr=1", "detachKeys=bad", "logs=1&stdout=1"]
)
@pytest.mark.parametrize("upgrade", [True, False])
def test_what_does_not_run(both: Both, name: str, query: str, upgrade: bool) -> None:
    attach(both, name, query, upgrade=upgrade)


@pytest.mark.parametrize("version", ["1.45", *OLD])
@pytest.mark.parametrize("name", ["run", "tty"])
def test_heads(both: Both, name: str, version: str) -> None:
    attach(both, name, OUTPUT, version)


def test_input_whose_end_ends_it(both: Both) -> None:
    attach(both, "once", INPUT, send=b"abc\n")


def test_who_has_nothing_more_to_say_leaves(both: Both) -> None:
    attach(both, "cat", INPUT, send=b"abc\n")
    attach(both, "cat", INPUT, send=b"again\n")
    ours, theirs = both("GET", "/containers/cat/json")
    assert (ours.body["State"]["Running"], theirs.body["State"]["Running"]) == (True, True)


@pytest.mark.parametrize(("query", "send"), [(INPUT, b"\x10\x11"), (INPUT + "&detachKeys=a", b"a")])
def test_detach_keys(both: Both, query: str, send: bytes) -> None:
    attach(both, "tty-keys", query, send=send, half_close=False)


def test_the_end_of_a_container(both: Both) -> None:
    attach(both, "tty-exit", INPUT, send=b"exit 7\n", half_close=False, patience=3)
