"""A start that failed: the exit code that Docker gives it, and how the record tells of it. Pure."""

import time

import msgspec

import errdefs
from engine.containers.container import Container
from engine.containers.state import Status

_NOT_FOUND = (
    "executable file not found",
    "no such file or directory",
    "system cannot find the file specified",
    "not a directory",  # of a mount, that is: what is executed is no directory
)
_NOT_EXECUTABLE = ("permission denied", "is a directory", "exec format error")
UNKNOWN = 128


def exit_code(message: str) -> int:
    """127 for a missing command, 126 for one that cannot be executed, 128 for the rest."""
    text = message.lower()
    if any(phrase in text for phrase in _NOT_FOUND):
        return 127
    if any(phrase in text for phrase in _NOT_EXECUTABLE):
        return 126
    return UNKNOWN


def exec_exit_code(message: str) -> int:
    """The same for an exec, whose codes say less: 127 for a missing command, 126 for the rest."""
    return 127 if 'exec: "' in message and exit_code(message) == 127 else 126


def failed(container: Container, error: errdefs.WherryError, got: Container | None) -> Container:
    """The record after a start that failed: the container does not run, and its state says why.

    `got` is what it was once it had got its network, and its files were there; None before. What is not the command's
    fault does not cover with which code it ended before.
    """
    code = exit_code(error.message)
    if code == UNKNOWN:
        code = container.state.exit_code or UNKNOWN
    status = Status.CREATED if container.state.started_at == 0 else Status.EXITED
    state = msgspec.structs.replace(
        container.state,
        status=status,
        pid=0,
        exit_code=code,
        error=error.message,
        finished_at=time.time_ns() if status is Status.EXITED else 0,
    )
    if got is None:
        return msgspec.structs.replace(container, state=state)
    return msgspec.structs.replace(
        container,
        state=state,
        starts=container.starts + 1,
        host_config=got.host_config,
        networks=got.networks,
        network_ids=got.network_ids,
    )
