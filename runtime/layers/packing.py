"""The process that writes a directory as a tar stream; its argument is an ORDER.

ORDER is a JSON object {"whiteouts": bool, "leave_out": [absolute paths], "identity": lists, "file": bool}. Descriptors:
3 the directory, which becomes our root; 4 a pipe for the archive; the last one a pipe for one line of JSON,
{"packed": null} or {"error": …}. If 4 is a `file` the archive is digested, too: {"packed": [digest, bytes, ambiguous]};
5 is the pipe then that tells whoever follows it (runtime.layers.growing).
"""

import json
import os
import sys
from typing import Any

from errdefs import WherryError
from runtime.layers import confine
from runtime.layers.digesting import DigestingPacker
from runtime.layers.limits import DEFAULT
from runtime.layers.packer import Packer
from runtime.spec.identity import Identity

_DIRECTORY, _OUT, _REPORT = 3, 4, 5


def main() -> None:
    """Pack as ordered and report."""
    order = json.loads(sys.argv[1])
    try:
        report = {"packed": _pack(order)}
    except BrokenPipeError:
        return  # nobody reads any more
    except WherryError as error:
        report = {"error": {"kind": type(error).__name__, "message": error.message}}
    except OSError as error:
        report = {"error": {"kind": "SystemFailure", "message": f"cannot archive: {error.strerror}"}}
    os.write(_REPORT + order["file"], json.dumps(report).encode() + b"\n")


def _pack(order: dict[str, Any]) -> Any:
    confine.end_with_parent()
    confine.limit(DEFAULT)
    descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    confine.enter(_DIRECTORY)
    options: dict[str, Any] = {
        "whiteouts": order["whiteouts"],
        "leave_out": order["leave_out"],
        "identity": Identity.from_lists(order["identity"]),
        "descriptors": descriptors,
    }
    packer = DigestingPacker(_OUT, tell=_REPORT, **options) if order["file"] else Packer(_OUT, **options)
    packer.tree("/")
    packer.end()
    return packer.packed() if isinstance(packer, DigestingPacker) else None
