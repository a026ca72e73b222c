"""What authorization plugins are asked, in which order, and what becomes of what they say, as by dockerd."""

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.authz.conftest import PROGRAM, SOCKETS
from tests.network.plugins import Plugin
from tests.peer.masks import mask
from tests.peer.peer import Peer
from tests.unix_http import Response, call

pytestmark = pytest.mark.root

FIRST, SECOND = (f"{each}{secrets.token_hex(3)}" for each in ("first", "second"))
JSON = {"Content-Type": "application/json"}
NO = json.dumps({"Allow": False, "Msg": "not today"})


class Side:
    """A daemon and the plugins on its host."""

    def __init__(self, daemon: Wherryd | Peer, plugin: Plugin) -> None:
        self.daemon = daemon
        self.plugin = plugin

    def asks(self, *names: str) -> None:
        """Have the daemon ask these plugins."""
        (self.daemon.root / "daemon.json").write_text(json.dumps({"authorization-plugins": names}))
        os.kill(self.daemon.pid, signal.SIGHUP)
        deadline = time.monotonic() + 20
        while {each["plugin"] for each in self._of_a_request()} != set(names):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _of_a_request(self) -> list[dict[str, Any]]:
        """Asked of anything."""
        self._calls()
        call(self.daemon.socket, "GET", "/version")
        return self._calls()

    def say(self, name: str, verb: str, **fault: Any) -> None:
        """What one of them answers from now on."""
        (self.plugin.folder / "faults.json").write_text(json.dumps({f"{name}.{verb}": fault} if name else {}))

    def does(self, method: str, path: str, body: bytes | None = None, **headers: str) -> list[Any]:
        """What came of a request, and the calls that it made."""
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        if body is not None:
            given = {**JSON, **given}
        stray = self._calls()
        assert not stray
        answer = call(self.daemon.socket, method, f"/v1.45{path}", body, headers=given)
        return [_said(answer), *(_shown(each) for each in self._calls())]

    def _calls(self) -> list[dict[str, Any]]:
        """Those since the last look; any daemon of this machine may ask a plugin what it is."""
        return [each for each in self.plugin.calls() if each["method"] != "Plugin.Activate"]


def _said(answer: Response) -> str:
    return f"{answer.status} {mask(answer.body.decode()) if answer.status >= 400 else ''}"


def _shown(asked: dict[str, Any]) -> dict[str, Any]:
    """A call, with bodies as texts; of an answer that is an error dockerd tells nothing but that it is one."""
    body = dict(asked["body"])
    for key in ("RequestBody", "ResponseBody"):
        if key in body:
            body[key] = mask(base64.b64decode(body[key]).decode())
    untold = {"Api-Version", "Server", "Content-Length"}  # versions are each one's own
    if body.get("ResponseStatusCode", 0) >= 400:
        del body["ResponseStatusCode"], body["ResponseBody"]
        untold.add("Content-Type")
    told = body.get("ResponseHeaders", {}).items()
    body["ResponseHeaders"] = {name: value for name, value in told if name not in untold}
    return {"plugin": asked["plugin"], "method": asked["method"], **body}


@pytest.fixture(scope="module")
def sides(
    peer_wherryd: Wherryd, peer: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    """Plugins of the same names; dockerd sees a folder of its own."""
    SOCKETS.mkdir(parents=True, exist_ok=True)
    inside = ("nsenter", f"--target={peer.pid}", "--net", "--mount")
    subprocess.run([*inside, "mount", "-t", "tmpfs", "none", str(SOCKETS)], check=True)
    folder = tmp_path_factory.mktemp("judges")
    made = (
        Side(peer_wherryd, Plugin(folder / "ours", (FIRST, SECOND), SOCKETS, program=PROGRAM)),
        Side(
            peer,
            Plugin(
                folder / "theirs", (FIRST, SECOND), SOCKETS, inside, "Go-http-client/1.1", program=PROGRAM
            ),
        ),
    )
    for side in made:
        side.asks(FIRST, SECOND)
    yield made
    for side in made:
        side.say("", "")
        side.asks()
        side.plugin.remove()
    subprocess.run([*inside, "umount", str(SOCKETS)], check=True)


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
