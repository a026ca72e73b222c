"""`docker run` by the official CLI: output, input, exit codes, names, texts."""

import hashlib
import subprocess
from typing import Any

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root


def run(wherryd: Wherryd, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return wherryd.docker("run", "--rm", *args, check=False, **options)


def test_output_and_errors_are_kept_apart(wherryd: Wherryd) -> None:
    done = run(wherryd, "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_codes(wherryd: Wherryd, code: int) -> None:
    assert run(wherryd, "busybox", "sh", "-c", f"exit {code}").returncode == code


def test_death_by_a_signal(wherryd: Wherryd) -> None:
    assert run(wherryd, "--init", "busybox", "sh", "-c", "kill -9 $$").returncode == 137


def test_a_missing_command(wherryd: Wherryd) -> None:
    done = run(wherryd, "busybox", "nosuch")
    assert done.returncode == 127
    assert (
        'OCI runtime create failed: runc create failed: unable to start container process: exec: "nosuch": '
        "executable file not found in $PATH" in done.stderr
    )


def test_a_command_that_cannot_be_executed(wherryd: Wherryd) -> None:
    done = run(wherryd, "busybox", "/etc")
    assert done.returncode == 126
    assert "is a directory" in done.stderr


def test_a_missing_image(wherryd: Wherryd) -> None:
    done = run(wherryd, "nosuch:1", "true")
    assert done.returncode == 125
    assert "Unable to find image 'nosuch:1' locally" in done.stderr


def test_a_bad_reference(wherryd: Wherryd) -> None:
    done = run(wherryd, "Nosuch", "true")
    assert done.returncode == 125
    assert "invalid reference format: repository name (library/Nosuch) must be lowercase" in done.stderr


def test_a_name_conflict(wherryd: Wherryd) -> None:
    identifier = wherryd.docker("create", "--name", "taken", "busybox").stdout.strip()
    done = run(wherryd, "--name", "taken", "busybox", "true")
    wherryd.docker("rm", "taken")
    assert done.returncode == 125
    assert (
        f'Conflict. The container name "/taken" is already in use by container "{identifier}". '
        "You have to remove (or rename) that container to be able to reuse that name." in done.stderr
    )


@pytest.mark.parametrize("size", [0, 1, 20 << 20])
def test_stdin_and_its_half_close(wherryd: Wherryd, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    done = run(wherryd, "-i", "busybox", "sh", "-c", "sha256sum; echo late", stdin=data)
    assert done.stdout == f"{hashlib.sha256(data).hexdigest()}  -\nlate\n"


def test_large_output(wherryd: Wherryd) -> None:
    done = run(
        wherryd, "busybox", "sh", "-c", "yes 0123456789 | head -c 30000000 | tee /dev/stderr | md5sum >&2"
    )
    data = (b"0123456789\n" * (30_000_000 // 11 + 1))[:30_000_000]
    assert hashlib.md5(data).hexdigest() in done.stderr


def test_detached_and_logs(wherryd: Wherryd) -> None:
    identifier = wherryd.docker("run", "-d", "busybox", "echo", "hello").stdout.strip()
    assert wherryd.docker("wait", identifier).stdout == "0\n"
    assert wherryd.docker("logs", identifier).stdout == "hello\n"
    wherryd.docker("rm", identifier)


def test_a_generated_name(wherryd: Wherryd) -> None:
    identifier = wherryd.docker("create", "busybox").stdout.strip()
    name = wherryd.docker("inspect", "-f", "{{.Name}}", identifier).stdout.strip()
    wherryd.docker("rm", name)
    adjective, _, surname = name.removeprefix("/").partition("_")
    assert adjective.isalpha()
    assert surname.isalnum()


def test_a_prefix_of_the_id_is_enough(wherryd: Wherryd) -> None:
    identifier = wherryd.docker("create", "busybox").stdout.strip()
    assert wherryd.docker("inspect", "-f", "{{.Id}}", identifier[:8]).stdout.strip() == identifier
    assert wherryd.docker("rm", identifier[:10]).stdout.strip() == identifier[:10]


def test_a_missing_network_is_found_out_at_the_start(wherryd: Wherryd) -> None:
    done = run(wherryd, "--network", "nosuch", "busybox", "true")
    assert done.returncode == 125
    assert "network nosuch not found" in done.stderr


@pytest.mark.parametrize("path", ["/bin/busybox", "/bin/busybox/", "/bin/busybox/x"])
def test_a_working_directory_that_is_a_file(wherryd: Wherryd, path: str) -> None:
    """dockerd, which looks when it creates the container, words it so."""
    wherryd.docker("create", "--name", "file", "-w", path, "busybox", "true")
    answer = wherryd.call("POST", "/containers/file/start")
    assert answer.status == 400
    assert answer.json["message"].startswith("Cannot mkdir: /bin/busybox")
    assert answer.json["message"].endswith(" is not a directory")
    wherryd.docker("rm", "file")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("-m", "1m"), "Minimum memory limit allowed is 6MB"),
        (("--cpus", "1000"), "CPUs available"),
        (("--cap-add", "frob"), 'unknown capability: "CAP_FROB"'),
        (("--security-opt", "frob=1"), "invalid --security-opt"),
        (("-w", "relative"), "needs to be an absolute path"),
        (("--runtime", "nosuch"), "unknown or invalid runtime name: nosuch"),
        (("--stop-signal", "frob"), "invalid signal: frob"),
        (("--name", "-bad"), "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        (("--oom-score-adj", "2000"), "range for oom score adj is [-1000, 1000]"),
        (("--log-opt", "frob=1"), "unknown log opt 'frob' for json-file log driver"),
    ],
)
def test_bad_requests_change_nothing(wherryd: Wherryd, args: tuple[str, ...], text: str) -> None:
    done = wherryd.docker("run", *args, "busybox", "true", check=False)
    assert done.returncode == 125
    assert text in done.stderr
    assert wherryd.docker("ps", "-aq").stdout == ""
