"""The firewalls of distributions, real ones, on the host of a test: their own configuration, nothing is installed.

`make setup-test` unpacks Debian's packages into .cache/firewalls; these are Python programs, for Debian's Python.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from tests.daemon import PATH

UNPACKED = Path(__file__).resolve().parent.parent.parent / ".cache/firewalls"
PYTHON = "/usr/bin/python3"


def missing() -> str:
    """Tell why there are no firewalls, "" when there are."""
    absent = [name for name in ("ufw", "firewalld") if not (UNPACKED / "usr/sbin" / name).exists()]
    return f"no {' and no '.join(absent)} (make setup-test unpacks it)" if absent else ""


class Firewall(Protocol):
    """One that begins to rule with `enable`."""

    env: Mapping[str, str]
    """What the daemon has to know of it."""

    def enable(self) -> None: ...
    def reload(self) -> None: ...
    def close(self) -> None: ...


class Ufw:
    """In a root directory of its own: it asks for its files to be root's, in directories that are."""

    def __init__(self, root: Path) -> None:
        self.env: Mapping[str, str] = {}
        self._root = root / "ufw"
        shutil.copytree(UNPACKED, self._root, symlinks=True)
        (self._root / "lib").symlink_to("usr/lib")
        given = self._root / "usr/share/ufw"
        for file in (*(given / "iptables").glob("*.rules"), given / "ufw.conf"):
            shutil.copy(file, self._root / "etc/ufw")

    def enable(self) -> None:
        self._run("--force", "enable")

    def reload(self) -> None:
        self._run("reload")

    def close(self) -> None:
        """It is but rules."""

    def _run(self, *words: str) -> None:
        argv = [
            PYTHON,
            f"{self._root}/usr/sbin/ufw",
            f"--rootdir={self._root}",
            f"--datadir={self._root}",
            *words,
        ]
        done = subprocess.run(argv, env=environment(self._root), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_sender="*"/><allow eavesdrop="false"/></policy></busconfig>
"""


class Firewalld:
    """With a message bus of its own, on which nobody else is and which starts nobody."""

    def __init__(self, root: Path) -> None:
        self._root = root / "firewalld"
        shutil.copytree(UNPACKED / "etc/firewalld", self._root)
        self._log = self._root / "log"
        bus = Path(tempfile.mkdtemp(prefix="wherry-bus-"))  # a socket's path is short
        self._bus, self._config = bus / "bus", bus / "bus.conf"
        self._config.write_text(_BUS.format(path=self._bus))
        self.env: Mapping[str, str] = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self._bus}"}
        self._processes: list[subprocess.Popen[bytes]] = []

    def enable(self) -> None:
        self._start("dbus-daemon", "--nofork", "--nopidfile", f"--config-file={self._config}")
        self._until(self._bus.exists, 60)
        self._start(
            *(PYTHON, f"{UNPACKED}/usr/sbin/firewalld", "--nofork", "--nopid"),
            *("--system-config", str(self._root), "--default-config", f"{UNPACKED}/usr/lib/firewalld"),
            *("--log-target", "file", "--log-file", str(self._log)),
        )
        self._until(lambda: self._client("--state").returncode == 0, 120)

    def reload(self) -> None:
        self.client("--reload")

    def client(self, *words: str) -> str:
        """What firewall-cmd says, which succeeds."""
        done = self._client(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        shutil.rmtree(self._bus.parent)

    @property
    def _env(self) -> dict[str, str]:
        return {**environment(UNPACKED), **self.env}

    def _client(self, *words: str) -> "subprocess.CompletedProcess[str]":
        argv = [PYTHON, f"{UNPACKED}/usr/bin/firewall-cmd", *words]
        return subprocess.run(argv, env=self._env, capture_output=True, text=True, timeout=120)

    def _start(self, *argv: str) -> None:
        self._processes.append(subprocess.Popen(argv, env=self._env))

    def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition():
            ended = [each.args for each in self._processes if each.poll() is not None]
            if ended or time.monotonic() > end:
                log = self._log.read_text() if self._log.exists() else ""
                raise AssertionError(f"firewalld does not come up; ended: {ended}\n{log}")
            time.sleep(0.05)


def environment(root: Path) -> dict[str, str]:
    """Debian's search path, and the modules that were unpacked."""
    return {"PATH": PATH, "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"), "HOME": os.devnull}
