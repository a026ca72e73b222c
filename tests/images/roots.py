"""Root filesystems of Debian that `make setup-test` makes, and what GNU tar makes of them."""

import subprocess
from pathlib import Path

from tests.conftest import REPOSITORY

PLACE = REPOSITORY / ".cache/images/debian"
BASE = PLACE / "base.tar"
"""Debian's essential packages."""
GCC = PLACE / "gcc.tar"
"""The same with Python and a C compiler, 420 MB in 11,000 files, and /opt/kinds with every kind of file."""


def missing() -> str:
    """Tell why they are not here, "" when they are."""
    absent = [path.name for path in (BASE, GCC) if not path.exists()]
    return f"not found: {', '.join(absent)} (make setup-test makes them)" if absent else ""


def extract(tar: Path, directory: Path) -> Path:
    """What GNU tar makes of an archive, with all that it can keep; the directory, new."""
    directory.mkdir()
    keep = ("--numeric-owner", "--same-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*")
    subprocess.run(
        ["tar", "--extract", *keep, f"--file={tar}", f"--directory={directory}"], check=True, timeout=120
    )
    return directory
