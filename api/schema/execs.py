"""Execs as inspect shows them."""

from typing import Any, Protocol

from engine.containers.exec_process import ExecConfig


class Exec(Protocol):
    """What is shown of an exec."""

    id: str
    container_id: str
    config: ExecConfig
    running: bool
    exit_code: int | None
    pid: int


def inspect(process: Exec) -> dict[str, Any]:
    """The answer of `GET /exec/{id}/json`."""
    config = process.config
    command = config.cmd or [""]
    settings: dict[str, Any] = {
        "tty": config.tty,
        "entrypoint": command[0],
        "arguments": command[1:],
        "privileged": config.privileged,
    }
    if config.user:
        settings["user"] = config.user
    return {
        "ID": process.id,
        "Running": process.running,
        "ExitCode": process.exit_code,
        "ProcessConfig": settings,
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": False,
        "ContainerID": process.container_id,
        "DetachKeys": "",
        "Pid": process.pid,
    }
