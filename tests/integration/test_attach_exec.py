"""Terminals, attach, detach keys, exec."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.daemon import Wherryd
from tests.terminal import Terminal
from tests.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def sleeper(wherryd: Wherryd) -> Iterator[str]:
    identifier = wherryd.docker("run", "-d", "--name", "host1", "busybox", "sleep", "1000").stdout.strip()
    yield identifier
    wherryd.docker("rm", "-f", identifier, check=False)


def shows(person: Terminal, size: str) -> None:
    """Ask the shell for the window's size until it is that: the client tells it when it comes to it."""

    def shown() -> bool:
        person.type("stty size\n")
        with contextlib.suppress(AssertionError):
            person.wait_for(size, 1)
        return size in person.seen

    eventually(shown)


def test_run_it(wherryd: Wherryd) -> None:
    argv = ["docker", "run", "--rm", "-it", "busybox", "sh"]
    with Terminal(argv, wherryd.client_env, size=(30, 100)) as person:
        person.wait_for("/ # ")
        shows(person, "30 100")
        person.resize(40, 120)
        shows(person, "40 120")
        person.type("exit 5\n")
        assert person.wait() == 5


def test_detach_and_attach_again(wherryd: Wherryd) -> None:
    with Terminal(["docker", "run", "-it", "--name", "tty", "busybox", "sh"], wherryd.client_env) as person:
        person.wait_for("/ # ")
        person.type("A=kept\n")
        person.type("\x10\x11")
        assert person.wait() == 0
    assert wherryd.docker("inspect", "-f", "{{.State.Running}}", "tty").stdout == "true\n"
    with Terminal(["docker", "attach", "tty"], wherryd.client_env) as person:
        time.sleep(0.3)
        person.type("echo $A-$A\n")
        person.wait_for("kept-kept")
        person.type("exit 3\n")
        assert person.wait() == 3
    wherryd.docker("rm", "tty")


def test_own_detach_keys(wherryd: Wherryd) -> None:
    argv = ["docker", "run", "-it", "--name", "keys", "--detach-keys", "ctrl-x,x", "busybox", "sh"]
    with Terminal(argv, wherryd.client_env) as person:
        person.wait_for("/ # ")
        person.type("\x18x")
        assert person.wait() == 0
    wherryd.docker("rm", "-f", "keys")


def test_several_clients_see_the_same(wherryd: Wherryd) -> None:
    wherryd.docker(
        "create", "-i", "--name", "shared", "busybox", "sh", "-c", "read x; echo got $x; read x; echo end"
    )
    clients = [
        subprocess.Popen(
            ["docker", "attach", "shared"] if number else ["docker", "start", "-ai", "shared"],
            env=wherryd.client_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in range(1)
    ]  # fmt: skip
    eventually(lambda: wherryd.state("shared")["Running"])
    clients += [
        subprocess.Popen(
            ["docker", "attach", "--no-stdin", "shared"], env=wherryd.client_env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    eventually(lambda: attached(wherryd, "shared") == len(clients))
    first = clients[0].stdin
    assert first is not None
    first.write(b"one\n")
    first.flush()
    time.sleep(0.2)
    first.write(b"two\n")
    first.flush()
    for client in clients:
        out, err = client.communicate(timeout=20)
        assert out == b"got one\nend\n", err
        assert client.returncode == 0
    wherryd.docker("rm", "shared")


def attached(wherryd: Wherryd, container: str) -> int:
    """How many clients a container was given so far, as the daemon tells."""
    identifier = wherryd.get(f"/containers/{container}/json").json["Id"]
    filters = quote(f'{{"container": ["{identifier}"], "event": ["attach"]}}')
    told = wherryd.get(f"/events?since=1&until={time.time():.3f}&filters={filters}")
    return len(told.body.splitlines())


def test_start_attached(wherryd: Wherryd) -> None:
    wherryd.docker("create", "--name", "attached", "busybox", "sh", "-c", "echo out; exit 4")
    done = wherryd.docker("start", "-a", "attached", check=False)
    assert (done.returncode, done.stdout) == (4, "out\n")
    wherryd.docker("rm", "attached")


def test_exec(wherryd: Wherryd, sleeper: str) -> None:
    done = wherryd.docker("exec", sleeper, "sh", "-c", "echo out; echo err >&2; exit 6", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (6, "out\n", "err\n")
    assert wherryd.docker("exec", "-i", sleeper, "cat", stdin=b"given").stdout == "given"
    seen = wherryd.docker(
        "exec",
        "-u",
        "12:34",
        "-w",
        "/tmp",
        "-e",
        "A=b",
        sleeper,
        "sh",
        "-c",
        "echo $(id -u):$(id -g) $PWD $A",
    )
    assert seen.stdout == "12:34 /tmp b\n"


def test_exec_on_a_terminal(wherryd: Wherryd, sleeper: str) -> None:
    with Terminal(["docker", "exec", "-it", sleeper, "sh"], wherryd.client_env, size=(33, 101)) as person:
        person.wait_for("/ # ")
        shows(person, "33 101")
        person.type("exit 8\n")
        assert person.wait() == 8


def test_exec_detached(wherryd: Wherryd, sleeper: str) -> None:
    wherryd.docker("exec", "-d", sleeper, "sh", "-c", "echo done > /done")
    eventually(lambda: wherryd.docker("exec", sleeper, "cat", "/done", check=False).stdout == "done\n")


def test_exec_of_a_missing_command(wherryd: Wherryd, sleeper: str) -> None:
    done = wherryd.docker("exec", sleeper, "nosuch", check=False)
    assert done.returncode == 127
    assert (
        'OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuch": '
        "executable file not found in $PATH" in done.stderr + done.stdout
    )


def test_exec_in_what_does_not_run(wherryd: Wherryd) -> None:
    identifier = wherryd.docker("create", "busybox").stdout.strip()
    done = wherryd.docker("exec", identifier, "true", check=False)
    wherryd.docker("rm", identifier)
    assert done.returncode == 1
    assert f"container {identifier} is not running" in done.stderr


def test_an_exec_has_the_containers_guards(wherryd: Wherryd, sleeper: str) -> None:
    script = "grep -E '^(Cap|Seccomp:|NoNewPrivs|Sig(Blk|Ign))' /proc/self/status"
    own = wherryd.docker("run", "--rm", "busybox", "sh", "-c", script).stdout
    assert wherryd.docker("exec", sleeper, "sh", "-c", script).stdout == own


def test_exec_privileged(wherryd: Wherryd, sleeper: str) -> None:
    script = "grep CapEff /proc/self/status | cut -f2"
    seen = wherryd.docker("exec", "--privileged", sleeper, "sh", "-c", script).stdout
    assert int(seen, 16) & 1 << 21
