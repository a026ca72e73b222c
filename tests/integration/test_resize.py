"""`/resize`: the terminal's size, and what has none."""

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root


def test_nothing_is_done_to_a_container_without_a_terminal(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "plain", "busybox", "sleep", "1000")
    answer = wherryd.call("POST", "/containers/plain/resize?h=10&w=20")
    running = wherryd.get("/containers/plain/json").json["State"]["Running"]
    wherryd.docker("rm", "-f", "plain")
    assert answer.status == 200
    assert running


@pytest.mark.parametrize("query", ["h=x&w=1", "h=-1&w=1", "h=1&w=99999999999"])
def test_bad_sizes_are_refused(wherryd: Wherryd, query: str) -> None:
    wherryd.docker("run", "-dt", "--name", "tty", "busybox", "sleep", "1000")
    answer = wherryd.call("POST", f"/containers/tty/resize?{query}")
    wherryd.docker("rm", "-f", "tty")
    assert answer.status == 400
