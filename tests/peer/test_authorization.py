"""What authorization plugins are asked, in which order, and what becomes of what they say, as by dockerd."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.authz.conftest import PROGRAM
from tests.peer.judged import FIRST, SECOND, Side
from tests.peer.peer import Peer
from tests.peer.plugged import plugins_of_both

pytestmark = pytest.mark.root

NO = json.dumps({"Allow": False, "Msg": "not today"})


@pytest.fixture(scope="module")
def sides(
    peer_wherryd: Wherryd, peer: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    """Plugins of the same names."""
    with plugins_of_both(peer, tmp_path_factory.mktemp("judges"), (FIRST, SECOND), PROGRAM) as (ours, theirs):
        made = Side(peer_wherryd, ours), Side(peer, theirs)
        for side in made:
            side.asks(FIRST, SECOND)
        yield made
        for side in made:
            side.say("", "")
            side.asks()


@pytest.fixture(autouse=True)
def clean(sides: tuple[Side, Side]) -> Iterator[None]:
    yield
    for side in sides:
        side.say("", "")


REQUESTS: list[tuple[str, str, bytes | None, dict[str, str]]] = [
    ("GET", "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22x%22%5D%7D", None, {}),
    ("GET", "/containers/nobody/json", None, {"X_Mine": "1", "X_Registry_Auth": "secret"}),
    ("POST", "/containers/create?name=a", b'{"Image": "nobody/has-it"}', {"Authorization": "secret"}),
    ("POST", "/containers/create", b'{"Image": "x"}', {"Content_Type": "text/plain"}),
    (
        "POST",
        "/containers/create",
        b'{"Image": "x:y:z"}',
        {"Content_Type": "application/json; charset=utf-8"},
    ),
    ("POST", "/volumes/create", b'{"Name": "judged"}', {}),
    ("GET", "/volumes/judged", None, {}),
    ("DELETE", "/volumes/judged", None, {}),
    ("POST", "/networks/nobody/connect", b'{"Container": "x"}', {}),
    ("POST", "/containers/nobody/start", None, {}),
    ("POST", "/images/load", b"no archive", {"Content_Type": "application/x-tar"}),
    ("GET", "/images/nobody%2Fhas-it/json", None, {}),
    ("OPTIONS", "/containers/json", None, {}),
    ("OPTIONS", "/no/such/page?x=y", None, {}),
    ("OPTIONS", "/", b'{"a": "b"}', {}),
    ("GET", "/no/such/page", None, {}),
    ("POST", "/no/such/page", b'{"a": "b"}', {}),
    ("DELETE", "/containers/json", None, {}),
    ("HEAD", "/containers/json", None, {}),
    ("GET", "/containers//json", None, {}),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"), REQUESTS, ids=[f"{each[0]} {each[1]}" for each in REQUESTS]
)
def test_what_is_told(
    sides: tuple[Side, Side], method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> None:
    ours, theirs = (side.does(method, path, body, **headers) for side in sides)
    for mine, its in zip(ours[1:], theirs[1:], strict=False):
        if not path.isascii() or "%2F" in path:
            mine["RequestUri"] = its["RequestUri"]  # it is told as it was matched
    assert ours == theirs


@pytest.mark.parametrize("verb", ["AuthZReq", "AuthZRes"])
@pytest.mark.parametrize("name", [FIRST, SECOND], ids=["first", "second"])
def test_refusals(sides: tuple[Side, Side], name: str, verb: str) -> None:
    for side in sides:
        side.say(name, verb, body=NO)
    ours, theirs = (side.does("GET", "/volumes") for side in sides)
    assert ours == theirs
    assert re.fullmatch(r'403 \{"message":"authorization denied by plugin \w+: not today"\}\n', ours[0])


@pytest.mark.parametrize("verb", ["AuthZReq", "AuthZRes"])
@pytest.mark.parametrize(
    "fault", [{"status": 500, "body": '{"Err": "ill"}'}, {"status": 500, "body": "ill"}], ids=["Err", "text"]
)
def test_failures(sides: tuple[Side, Side], verb: str, fault: dict[str, Any]) -> None:
    for side in sides:
        side.say(FIRST, verb, **fault)
    ours, theirs = (side.does("GET", "/volumes") for side in sides)
    assert ours == theirs
