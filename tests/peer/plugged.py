"""A daemon with a plugin on its host, beside dockerd with one of the same names: what commands come to, and ask."""

import difflib
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.daemon import Wherryd
from tests.network.plugins import PLUGIN, Plugin
from tests.peer.peer import Peer

SOCKETS = Path("/run/docker/plugins")
AGENT = "Go-http-client/1.1"
"""How dockerd calls itself to plugins."""


class Side:
    """A daemon and the plugin on its host; ids are numbered in the order in which they are met."""

    def __init__(self, daemon: Wherryd | Peer, plugin: Plugin) -> None:
        self.daemon = daemon
        self.plugin = plugin
        self._ids: dict[str, str] = {}

    def does(self, *args: str) -> list[str]:
        """What came of a command, and the calls that it made."""
        raise NotImplementedError

    def forget(self) -> None:
        """Number ids from the first one again."""
        self._ids.clear()

    def numbered(self, text: str, ids: re.Pattern[str]) -> str:
        """A text with its ids by their numbers."""
        return ids.sub(lambda found: self._ids.setdefault(found[0], f"<id {len(self._ids)}>"), text)


def same(sides: Sequence[Side], *args: str) -> None:
    """Fail if a command comes to something else on the two sides."""
    ours, theirs = (side.does(*args) for side in sides)
    found = [line for line in difflib.ndiff(theirs, ours) if line[0] != " "]
    assert not found, "\n".join((f"docker {' '.join(args)}", *found))


@contextmanager
def plugins_of_both(
    peer: Peer, folder: Path, names: Sequence[str], program: Path = PLUGIN
) -> Iterator[tuple[Plugin, Plugin]]:
    """Ours and dockerd's, of the same names in the folder of the host; dockerd sees one of its own there."""
    SOCKETS.mkdir(parents=True, exist_ok=True)
    inside = ("nsenter", f"--target={peer.pid}", "--net", "--mount")
    subprocess.run([*inside, "mount", "-t", "tmpfs", "none", str(SOCKETS)], check=True)
    ours = Plugin(folder / "ours", names, SOCKETS, program=program)
    theirs = Plugin(folder / "theirs", names, SOCKETS, inside, AGENT, program=program)
    try:
        yield ours, theirs
    finally:
        ours.remove()
        theirs.remove()
        subprocess.run([*inside, "umount", str(SOCKETS)], check=True)
