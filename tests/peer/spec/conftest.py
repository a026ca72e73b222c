"""What a real dockerd hands to its runtime: the config.json of a container that is created and never run."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.peer.peer import Peer
from tests.unix_http import call

# Keeps the spec and refuses to create, so that nothing of the container ever lives.
CAPTURE = """#!/bin/sh
for word; do
    [ "$before" = --bundle ] && bundle=$word
    [ "$word" = create ] && create=1
    before=$word
done
[ -z "$create" ] && exec "{runc}" "$@"
cp "$bundle/config.json" "{folder}/$before.json"
exit 1
"""
# Runs everything, and keeps the process object of each exec.
WATCH = """#!/bin/sh
for word; do
    [ "$before" = --process ] && cp "$word" "{folder}/exec.json"
    before=$word
done
exec "{runc}" "$@"
"""


@dataclass(frozen=True, slots=True)
class Captured:
    """A container's id and the spec that dockerd made for it."""

    id: str
    spec: dict[str, Any]


class Capturing:
    """A dockerd with a runtime that keeps the specs it is given."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._peer = peer
        self._folder = folder

    def capture(self, config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Captured:
        """Create a container of busybox, have it started in vain, and return its spec."""
        status, answer = self.create(config, host_config)
        assert status == 201, answer
        container = answer["Id"]
        try:
            started = call(self._peer.socket, "POST", f"/v1.45/containers/{container}/start")
            spec = self._folder / f"{container}.json"
            assert spec.exists(), started.body.decode()
            return Captured(container, json.loads(spec.read_text()))
        finally:
            call(self._peer.socket, "DELETE", f"/v1.45/containers/{container}?force=1&v=1")

    def execute(
        self, config: Mapping[str, Any], host_config: Mapping[str, Any], exec_config: Mapping[str, Any]
    ) -> Captured:
        """Run a container with an exec in it, and return the exec's process object."""
        status, answer = self.create(config, {"Runtime": "watch", **host_config})
        assert status == 201, answer
        container = answer["Id"]
        try:
            self._done(f"containers/{container}/start", None)
            made = self._done(f"containers/{container}/exec", {"Cmd": ["true"], **exec_config})
            self._done(f"exec/{made['Id']}/start", {"Detach": True, "Tty": exec_config.get("Tty", False)})
            return Captured(container, json.loads((self._folder / "exec.json").read_text()))
        finally:
            call(self._peer.socket, "DELETE", f"/v1.45/containers/{container}?force=1&v=1")

    def _done(self, target: str, body: Mapping[str, Any] | None) -> Any:
        answer = call(self._peer.socket, "POST", f"/v1.45/{target}", body)
        assert answer.status < 300, answer.body
        return answer.json if answer.body else None

    def create(self, config: Mapping[str, Any], host_config: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Ask for a container: (status, answer)."""
        body = {
            "Image": "busybox:latest",
            **config,
            "HostConfig": {"NetworkMode": "none", "Runtime": "capture", **host_config},
        }
        answer = call(self._peer.socket, "POST", "/v1.45/containers/create", body)
        return answer.status, answer.json


@pytest.fixture(scope="package")
def capturing(peer: Peer) -> Iterator[Capturing]:
    """The peer with the capturing runtime added by a reload, and without it again."""
    folder = peer.root / "specs"
    folder.mkdir()
    runtimes = {}
    for name, text in (("capture", CAPTURE), ("watch", WATCH)):
        script = peer.root / name
        script.write_text(text.format(runc=shutil.which("runc"), folder=folder))
        script.chmod(0o755)
        runtimes[name] = {"path": str(script)}
    settings = peer.root / "daemon.json"
    _reload(peer, settings, runtimes)
    yield Capturing(peer, folder)
    _reload(peer, settings, {})


def _reload(peer: Peer, settings: Path, runtimes: dict[str, Any]) -> None:
    """Change the runtimes; a key that is merely absent would leave dockerd as it is."""
    settings.write_text(json.dumps({"runtimes": runtimes}))
    os.kill(peer.pid, signal.SIGHUP)
    deadline = time.monotonic() + 20
    while ("capture" in call(peer.socket, "GET", "/v1.45/info").json["Runtimes"]) is not bool(runtimes):
        assert time.monotonic() < deadline, "dockerd did not reload its configuration"
        time.sleep(0.1)
