"""What authorization plugins are asked by a daemon, and what they say."""

import base64
import json
import os
import secrets
import signal
import time
from typing import Any

from tests.daemon import Wherryd
from tests.network.plugins import Plugin
from tests.peer.masks import mask
from tests.peer.peer import Peer
from tests.unix_http import Response, call

FIRST, SECOND = (f"{each}{secrets.token_hex(3)}" for each in ("first", "second"))
_JSON = {"Content-Type": "application/json"}


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
        self.calls()
        call(self.daemon.socket, "GET", "/version")
        return self.calls()

    def say(self, name: str, verb: str, **fault: Any) -> None:
        """What one of them answers from now on."""
        (self.plugin.folder / "faults.json").write_text(json.dumps({f"{name}.{verb}": fault} if name else {}))

    def does(self, method: str, path: str, body: bytes | None = None, **headers: str) -> list[Any]:
        """What came of a request, and the calls that it made."""
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        if body is not None:
            given = {**_JSON, **given}
        stray = self.calls()
        assert not stray
        answer = call(self.daemon.socket, method, f"/v1.45{path}", body, headers=given)
        return [_said(answer), *(_shown(each) for each in self.calls())]

    def calls(self) -> list[dict[str, Any]]:
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
