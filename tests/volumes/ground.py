"""A daemon that sees a folder of plugins of its own: any other on this host would ask a plugin in the usual one what it
has, and so would list, and remove, the volumes of a test.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.daemon import Wherryd
from tests.network.plugins import Plugin
from tests.roots import make_root

SOCKETS = Path("/run/docker/plugins")
PROGRAM = Path(__file__).with_name("plugin.py")
_HOLD = f"mkdir -p {SOCKETS} && mount -t tmpfs none {SOCKETS} && echo ready && exec cat"


def inside(pid: int) -> tuple[str, ...]:
    """What runs a command where this process has its files."""
    return ("nsenter", f"--target={pid}", "--mount")


@contextmanager
def secluded(busybox_tar: Path) -> Iterator[Wherryd]:
    """The daemon, in a mount namespace of its own that outlives it."""
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        daemon = Wherryd(make_root())
        daemon.wrapper = [*inside(holder.pid)]
        with daemon.running(busybox_tar):
            yield daemon
    finally:
        holder.communicate()


def volume_plugin(folder: Path, name: str, within: Sequence[str], agent: str = "wherry") -> Plugin:
    """A volume plugin where a daemon sees it: `within` is the wrapper of its command."""
    return Plugin(folder, (name,), SOCKETS, within, agent, PROGRAM)


class Shared:
    """A daemon and its plugin `vols`, for one test after the other; once they are closed, the next one gets others."""

    def __init__(self, busybox_tar: Path, folder: Callable[[], Path]) -> None:
        self._busybox_tar = busybox_tar
        self._folder = folder
        self._pair: tuple[Wherryd, Plugin] | None = None
        self._stack = ExitStack()

    def pair(self) -> tuple[Wherryd, Plugin]:
        """Both, running when nobody had them before."""
        if self._pair is None:
            daemon = self._stack.enter_context(secluded(self._busybox_tar))
            plugin = volume_plugin(self._folder(), "vols", daemon.wrapper)
            self._stack.callback(plugin.stop)
            self._pair = daemon, plugin
        return self._pair

    def close(self) -> None:
        """End both."""
        self._pair = None
        self._stack.close()
