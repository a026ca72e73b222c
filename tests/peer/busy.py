"""Calls whose answers do not depend on how busy the machine is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import kernel
from tests.unix_http import Response, call
from tests.waiting import eventually

TRIES = 20
_GIVEN_UP = b"OCI runtime pause failed: unable to freeze"
_STARTED = 204


def asked(
    where: Path,
    method: str,
    target: str,
    body: bytes | Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Call a daemon, and again if dockerd's runtime gave a pause up: it asks the kernel some thousand times within
    milliseconds, in which a process may not have had its turn to freeze, and thaws it again.

    What was started is its own program afterwards: until then it is the runtime's, which a stop ends with the status 2.
    """
    for _ in range(TRIES):
        answer = call(where, method, target, body, headers)
        if _GIVEN_UP not in answer.body:
            break
    path = target.partition("?")[0]
    if answer.status == _STARTED and "/containers/" in path and path.endswith(("/start", "/restart")):
        _await_program(where, path.rpartition("/")[0])
    return answer


def _await_program(where: Path, container: str) -> None:
    shown = call(where, "GET", f"{container}/json").json
    if pid := shown["State"]["Pid"] if "State" in shown else 0:  # it may be over, and removed
        eventually(lambda: not kernel.name(pid).startswith("runc"))
