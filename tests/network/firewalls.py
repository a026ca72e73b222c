"""The firewalls of distributions, real ones, on the host of a test: their own configuration, nothing is installed.

`make setup-test` unpacks Debian's packages into .cache/firewalls; these are Python programs, for Debian's Python.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.daemon import PATH

UNPACKED = Path(__file__).resolve().parent.parent.parent / ".cache/firewalls"
PYTHON = "/usr/bin/python3"


def missing() -> str:
    """Tell why there are no firewalls, "" when there are."""
    return "" if (UNPACKED / "usr/sbin/ufw").exists() else "no ufw (make setup-test unpacks it)"


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


def environment(root: Path) -> dict[str, str]:
    """Debian's search path, and the modules that were unpacked."""
    return {"PATH": PATH, "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"), "HOME": os.devnull}
