"""The plugin as a process of a test, and what it was asked."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plugins.discovery import Places
from plugins.registry import Plugins

PLUGIN = Path(__file__).with_name("plugin.py")


def plugins_of(folder: Path) -> Plugins:
    """What a daemon finds in the folders of a test."""
    return Plugins(Places(folder / "plugins", (folder / "specs",)))


class Plugin:
    """Serves SOCKETS/NAME.sock for each name, where `wrapper` leads (nsenter ...).

    Only calls of the `agent` count: any dockerd of this machine looks at all plugins in its folder now and then.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        sockets: Path | None = None,
        wrapper: Sequence[str] = (),
        agent: str = "wherry",
        program: Path = PLUGIN,
    ) -> None:
        self.folder = folder
        self.sockets = sockets or folder
        self.names = names
        self._wrapper = wrapper
        self._agent = agent
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        argv = [sys.executable, "-I", str(self._program), str(self.folder), str(self.sockets), *self.names]
        self._process = subprocess.Popen(
            [*self._wrapper, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        """End it; its sockets stay, as those of one that was killed."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def remove(self) -> None:
        """End it and remove its sockets, and interfaces that nobody had it remove."""
        self.stop()
        self._read = 0
        made = {
            "NetworkDriver.CreateNetwork": ("tp", "NetworkID"),
            "NetworkDriver.CreateEndpoint": ("to", "EndpointID"),
        }
        for call in self.calls():
            prefix, key = made.get(call["method"], ("", ""))
            if prefix:
                link = f"{prefix}{call['body'][key][:10]}"
                subprocess.run([*self._wrapper, "ip", "link", "delete", link], capture_output=True)
        for name in self.names:
            (self.sockets / f"{name}.sock").unlink(missing_ok=True)

    def calls(self, *, anew: bool = False) -> list[dict[str, Any]]:
        """Those since the last look, or all, which is no look."""
        path = self.folder / "calls"
        text = path.read_text() if path.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        new = lines[0 if anew else self._read :]
        self._read = self._read if anew else len(lines)
        calls = [json.loads(line) for line in new]
        return [call for call in calls if call["headers"]["User-Agent"] == self._agent]

    def taken(self) -> dict[str, list[str]]:
        """The addresses that it gave, by pool."""
        path = self.folder / "taken.json"
        taken: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
        return taken

    def methods(self) -> list[str]:
        """Their names since the last look, shortened."""
        return [call["method"].replace("NetworkDriver.", "").replace("Ipam", "") for call in self.calls()]

    def fails(self, **faults: Any) -> None:
        """What methods (Subsystem_Method) answer from now on, as plugin.py says."""
        self._put("faults.json", faults)

    def answers(self, **answers: Any) -> None:
        """What good answers of methods have instead."""
        self._put("answers.json", answers)

    def _put(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps({key.replace("_", "."): value for key, value in values.items()})
        written = self.folder / f"{name}.new"
        written.write_text(text)
        written.rename(self.folder / name)  # a call may be at reading it
