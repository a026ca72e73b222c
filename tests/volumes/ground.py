"""A daemon that sees a folder of plugins of its own: any other on this host would ask a plugin in the usual one what it
has, and so would list, and remove, the volumes of a test.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    daemon = Wherryd(make_root())
    daemon.wrapper = [*inside(holder.pid)]
    with daemon.running(busybox_tar):
        yield daemon
        holder.communicate()


def volume_plugin(folder: Path, name: str, within: Sequence[str], agent: str = "wherry") -> Plugin:
    """A volume plugin where a daemon sees it: `within` is the wrapper of its command."""
    return Plugin(folder, (name,), SOCKETS, within, agent, PROGRAM)
