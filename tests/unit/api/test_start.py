"""What a start of the daemon loads."""

import subprocess
import sys

_SCRIPT = """
import sys
from api import __main__
from plugins.loading import enter
enter("aiohttp", __version__="")
import api.daemon
print(*sys.modules, sep="\\n")
"""
_FOR_LATER = (
    "aiohttp.client",
    "aiohttp.web_app",
    "dataclasses",
    "google.protobuf",
    "h2",
    "pyroute2",
    "yaml",
)


def test_what_only_some_need_is_left_for_later() -> None:
    started = subprocess.run(
        [sys.executable, "-I", "-c", _SCRIPT], check=True, capture_output=True, text=True
    )
    loaded = frozenset(started.stdout.split())
    assert "aiohttp.web_protocol" in loaded
    assert not loaded.intersection(_FOR_LATER)
