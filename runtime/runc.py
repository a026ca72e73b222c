"""What the daemon itself asks of the OCI runtime, and the runtime's errors in Docker's words."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errdefs import InvalidArgument, SystemFailure, WherryError
from runtime import spawn

if TYPE_CHECKING:
    from runtime.task_values import Runtime

_MAX_LOG = 1 << 18
_TIMEOUT = 60.0
_CREATE = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
_START = "OCI runtime start failed: "
_EXEC = "OCI runtime exec failed: "
_MISMATCH = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)
_WORKING_DIRECTORY = re.compile(r": error during container init: mkdir (.+): (?:not a directory|file exists)")
_DIRECTORY = ": permission denied"  # what Docker calls the execution of a directory
_BAD_REQUEST = (
    "executable file not found",
    "no such file or directory",
    "system cannot find the file specified",
    "permission denied",
    "not a directory",
    "is a directory",
    "exec format error",
)


class Runc:
    """Commands against one `--root`, for any runtime that has runc's command line."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def knows(self, container_id: str) -> bool:
        """Tell whether the runtime has state of that container."""
        return (self.root / container_id).is_dir()

    def waits(self, container_id: str) -> bool:
        """Tell whether the container was created and never started (the fifo that `start` removes is
        there).
        """
        return (self.root / container_id / "exec.fifo").exists()

    async def delete(self, runtime: "Runtime", container_id: str) -> None:
        """Kill the container and delete all of it; one that does not exist is no error. SystemFailure
        otherwise.
        """
        argv = [runtime.path, *runtime.args, "--root", str(self.root), "delete", "--force", container_id]
        try:
            result = await spawn.run(argv, timeout=_TIMEOUT)
        except (OSError, TimeoutError) as error:
            raise SystemFailure(
                f"cannot delete container {container_id} by {runtime.path}: {error}"
            ) from error
        if result.returncode != 0:
            text = result.stderr.decode("utf-8", "replace").strip()
            raise SystemFailure(f"cannot delete container {container_id}: {text}")

    async def update(self, runtime: "Runtime", container_id: str, resources: dict[str, Any]) -> None:
        """Change the limits of a container that exists: `resources` is the spec's linux.resources, of which what is
        absent stays. SystemFailure with the runtime's text.

        The runtime does it, not we: it knows in which order memory and swap may change, what systemd has to be told,
        and its own state has to know the limits too. (runc before 1.3 does not touch limits of block devices.)
        """
        argv = [runtime.path, *runtime.args, "--log-format", "json", "--root", str(self.root)]
        argv += ["update", "--resources", "-", container_id]
        try:
            result = await spawn.run(argv, stdin=json.dumps(resources).encode(), timeout=_TIMEOUT)
        except (OSError, TimeoutError) as error:
            raise SystemFailure(
                f"cannot update container {container_id} by {runtime.path}: {error}"
            ) from error
        if result.returncode != 0:
            name, text = os.path.basename(runtime.path), result.stderr.decode("utf-8", "replace").strip()
            cause = _cause(result.stderr, result.returncode, text, runtime.path)
            raise SystemFailure(
                f"{name} did not terminate successfully: exit status {result.returncode}: {cause}: unknown"
            )


def create_error(log: bytes, code: int, text: str, runtime: str) -> WherryError:
    """Return the error of a failed `create`: from the runtime's json log, else `text`, else its exit code.

    A working directory that cannot be made is told as dockerd does, which looks for it when it creates a container.
    """
    cause = _cause(log, code, text, runtime)
    if found := _WORKING_DIRECTORY.search(cause):
        return InvalidArgument(f"Cannot mkdir: {found[1]} is not a directory")
    return _classify(_CREATE + cause + ": unknown")


def start_error(log: bytes, code: int, text: str, runtime: str) -> WherryError:
    """Return the error of a failed `start`."""
    return _classify(_START + _cause(log, code, text, runtime) + ": unknown")


def exec_error(log: bytes, code: int, text: str, runtime: str) -> WherryError:
    """Return the error of a failed `exec`."""
    return _classify(_EXEC + _cause(log, code, text, runtime) + ": unknown")


async def read_log(path: Path) -> bytes:
    """Return the end of a runtime's log; b"" when there is none."""
    return await asyncio.to_thread(_read_end, path)


def _read_end(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MAX_LOG))
            return file.read(_MAX_LOG)
    except OSError:
        return b""


def _cause(log: bytes, code: int, text: str, runtime: str) -> str:
    """Return the last error in the log: it is the one that made the runtime give up."""
    for line in reversed(log.splitlines()):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("level") in ("error", "fatal"):
            return str(record.get("msg", "")).strip()
    if text:
        return text
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    return f"{os.path.basename(runtime)} did not terminate successfully: {how}"


def _classify(message: str) -> WherryError:
    lowered = message.lower()
    if "not a directory" in lowered:
        message += _MISMATCH
    elif "is a directory" in lowered:
        message += _DIRECTORY
    if any(phrase in lowered for phrase in _BAD_REQUEST):
        return InvalidArgument(message)
    return SystemFailure(message)
