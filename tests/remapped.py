"""A daemon with userns-remap, whose subordinate ids are told by files of its own: the host's are left alone."""

import grp
from pathlib import Path

from tests.daemon import Wherryd
from tests.roots import make_root

FIRST, COUNT = 1_000_000, 65536
ACCOUNT = f"nobody:{grp.getgrgid(65534).gr_name}"
_START = (
    "import pathlib, runpy, engine.userns_remap as remap\n"
    "remap.ETC = pathlib.Path({etc!r})\n"
    "runpy.run_module('api', run_name='__main__', alter_sys=True)"
)


def remapped(*flags: str, account: str = ACCOUNT, ranges: str = f"nobody:{FIRST}:{COUNT}\n") -> Wherryd:
    """A daemon that is not started yet."""
    root = make_root()
    root.chmod(0o711)  # the containers' root is a stranger here
    write_ranges(root, ranges)
    daemon = Wherryd(root, [*flags, "--userns-remap", account])
    daemon.program = ["-c", _START.format(etc=str(root))]
    return daemon


def write_ranges(root: Path, ranges: str) -> None:
    """Say which ids are subordinate to whom, of users and of groups alike."""
    for name in ("subuid", "subgid"):
        (root / name).write_text(ranges)
