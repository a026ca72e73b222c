"""Logs: what is refused and what the stream carries, as of a real dockerd."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.comparison import OLD, make_all, remove_all, same
from tests.peer.peer import Both
from tests.peer.steps import stepwise

pytestmark = pytest.mark.root

CONTAINERS: dict[str, dict[str, Any]] = {
    "ex": {"Cmd": stepwise("echo out", "echo err >&2", "echo 3; exit 3")},
    "cr": {"Cmd": ["sleep", "1000"]},
    "none": {"Cmd": ["true"], "HostConfig": {"LogConfig": {"Type": "none"}}},
    "tty": {"Cmd": ["echo", "hi"], "Tty": True},
}
QUERIES = [
    *("", "stdout=0", "follow=1", "stdout=1", "stderr=1", "stdout=1&stderr=1", "stdout=1&timestamps=1"),
    *("stdout=1&tail=0", "stdout=1&tail=1", "stdout=1&tail=x", "stdout=1&tail=-1", "stdout=1&tail=all"),
    *("stdout=1&since=9999999999", "stdout=1&until=1", "stdout=1&since=-5", "stdout=1&details=1"),
    *("stdout=1&since=bad", "stdout=1&until=bad", "stdout=1&since=1.5.5", "stdout=1&since=10m"),
]


@pytest.fixture(scope="module", autouse=True)
def _containers(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    make_all(Both(peer_wherryd, peer), CONTAINERS, ended=("ex", "none", "tty"), said=("out", "err"))
    yield
    remove_all(Both(peer_wherryd, peer))


@pytest.mark.parametrize("name", [*CONTAINERS, "nope"])
@pytest.mark.parametrize("query", QUERIES)
def test_logs(both: Both, name: str, query: str) -> None:
    same(both, "GET", f"/containers/{name}/logs?{query}")


@pytest.mark.parametrize("name", [*CONTAINERS, "nope"])
@pytest.mark.parametrize("query", ["", "stdout=1&stderr=1", "stdout=1&tail=1"])
@pytest.mark.parametrize("version", OLD)
def test_older_versions(both: Both, name: str, query: str, version: str) -> None:
    same(both, "GET", f"/containers/{name}/logs?{query}", version=version)


def test_following_what_is_over(both: Both) -> None:
    same(both, "GET", "/containers/ex/logs?stdout=1&stderr=1&follow=1")
