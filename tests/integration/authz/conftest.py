"""A daemon that asks two plugins, and the plugins."""

import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.network.plugins import Plugin
from tests.roots import make_root

SOCKETS = Path("/run/docker/plugins")
PROGRAM = Path(__file__).with_name("plugin.py")


class Judges(Plugin):
    """The plugins `first` and `second`."""

    def __init__(self, folder: Path) -> None:
        suffix = secrets.token_hex(3)
        self.first, self.second = f"first{suffix}", f"second{suffix}"
        SOCKETS.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, (self.first, self.second), SOCKETS, program=PROGRAM)

    def say(self, name: str, verb: str, **fault: Any) -> None:
        """What one of them answers from now on, as plugin.py says."""
        self._put("faults.json", {f"{name}.{verb}": fault})

    def deny(self, name: str, verb: str, message: str, **fault: Any) -> None:
        """Have one of them refuse."""
        self.say(name, verb, body=json.dumps({"Allow": False, "Msg": message}), **fault)

    def asked(self, verb: str = "AuthZReq") -> list[dict[str, Any]]:
        """What the first was told since the last look."""
        return [
            call["body"]
            for call in self.calls()
            if call["plugin"] == self.first and call["method"] == f"AuthZPlugin.{verb}"
        ]


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judges]:
    judges = Judges(tmp_path_factory.mktemp("judges"))
    yield judges
    judges.remove()


@pytest.fixture(scope="module")
def guarded(plugins: Judges, busybox_tar: Path) -> Iterator[Wherryd]:
    """A daemon with busybox that asks both; a test may have it ask others, and it asks both again after it."""
    daemon = Wherryd(make_root())
    try:
        daemon.config_file.write_text(json.dumps({"authorization-plugins": plugins.names}))
        daemon.start()
        daemon.import_busybox(busybox_tar)
        yield daemon
    finally:
        daemon.destroy()


@pytest.fixture
def judges(plugins: Judges, guarded: Wherryd) -> Iterator[Judges]:
    """The plugins, which allow all and were asked nothing yet; so they are left."""
    plugins.calls()
    yield plugins
    plugins.fails()


def ask(daemon: Wherryd, *names: str) -> None:
    """Have the daemon ask these plugins from now on, by SIGHUP."""
    daemon.config_file.write_text(json.dumps({"authorization-plugins": names}))
    before = daemon.log.read_text().count("configuration reloaded")
    os.kill(daemon.pid, signal.SIGHUP)
    while daemon.log.read_text().count("configuration reloaded") == before:
        time.sleep(0.01)
