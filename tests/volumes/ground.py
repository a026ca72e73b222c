"""A daemon that sees a folder of plugins of its own: any other on this host would ask a plugin in the usual one what it
has, and so would list, and remove, the volumes of a test.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon import Wherryd
from tests.network.plugins import Plugin
from tests.roots import make_root

SOCKETS = Path("/run/docker/plugins")
PROGRAM = Path(__file__).with_name("plugin.py")
_APART = f'mkdir -p {SOCKETS} && mount -t tmpfs none {SOCKETS} && exec "$@"'


def inside(pid: int) -> tuple[str, ...]:
    """What runs a command where this process has its files."""
    return ("nsenter", f"--target={pid}", "--mount")


@contextmanager
def secluded(busybox_tar: Path) -> Iterator[Wherryd]:
    """The daemon, in a mount namespace of its own."""
    daemon = Wherryd(make_root())
    daemon.wrapper = ["unshare", "--mount", "sh", "-c", _APART, "sh"]
    try:
        daemon.start()
        daemon.import_busybox(busybox_tar)
        yield daemon
    finally:
        daemon.destroy()


def volume_plugin(folder: Path, name: str, pid: int, agent: str = "wherry") -> Plugin:
    """A volume plugin where this process sees it."""
    return Plugin(folder, (name,), SOCKETS, inside(pid), agent, PROGRAM)
