"""The runtime's errors in dockerd's words."""

import json

import pytest

from errdefs import InvalidArgument, SystemFailure, WherryError
from runtime import runc

CREATE = "failed to create task for container: failed to create shim task: OCI runtime create failed: "


def log(*messages: str, level: str = "error") -> bytes:
    """A runtime's json log."""
    lines = ['{"level":"warning","msg":"ignored","time":"x"}', "no json", "3"]
    lines += [json.dumps({"level": level, "msg": message}) for message in messages]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("cause", "kind", "more"),
    [
        ("exec: x: executable file not found in $PATH", InvalidArgument, ""),
        ("exec: x: permission denied", InvalidArgument, ""),
        ("stat x: no such file or directory", InvalidArgument, ""),
        ("something else", SystemFailure, ""),
    ],
)
def test_create(cause: str, kind: type[WherryError], more: str) -> None:
    error = runc.create_error(log("first", f"runc create failed: {cause}"), 1, "", "/usr/sbin/runc")
    assert type(error) is kind
    assert error.message == f"{CREATE}runc create failed: {cause}: unknown{more}"


def test_mount_of_a_directory_onto_a_file() -> None:
    error = runc.create_error(log("mounting x: not a directory"), 1, "", "runc")
    assert isinstance(error, InvalidArgument)
    assert error.message.endswith(
        ": unknown: Are you trying to mount a directory onto a file (or vice-versa)? "
        "Check if the specified host path exists and is the expected type"
    )


@pytest.mark.parametrize("why", ["not a directory", "file exists"])
def test_working_directory_that_is_a_file(why: str) -> None:
    cause = (
        f"runc create failed: unable to start container process: error during container init: mkdir /a: {why}"
    )
    error = runc.create_error(log(cause), 1, "", "runc")
    assert isinstance(error, InvalidArgument)
    assert error.message == "Cannot mkdir: /a is not a directory"


def test_exec_and_start() -> None:
    assert runc.exec_error(log("exec failed: y"), 1, "", "runc").message == (
        "OCI runtime exec failed: exec failed: y: unknown"
    )
    assert runc.start_error(log("cannot start"), 1, "", "runc").message == (
        "OCI runtime start failed: cannot start: unknown"
    )


@pytest.mark.parametrize(
    ("code", "text", "cause"),
    [
        (9, "", "crun did not terminate successfully: exit status 9"),
        (-11, "", "crun did not terminate successfully: signal 11"),
        (127, "no such thing", "no such thing"),
    ],
)
def test_runtime_that_left_no_error(code: int, text: str, cause: str) -> None:
    assert runc.create_error(log(), code, text, "/opt/crun").message == f"{CREATE}{cause}: unknown"
