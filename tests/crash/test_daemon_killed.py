"""`kill -9 wherryd`: containers, their output, their exit codes and their ports are there afterwards."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.crash.dying import shim_of
from tests.daemon import Wherryd
from tests.ports import free_port
from tests.waiting import dies, eventually, served

pytestmark = pytest.mark.root


def restart_after_death(mortal: Wherryd, seconds: float = 0.0) -> None:
    mortal.kill9()
    time.sleep(seconds)
    mortal.start()


def test_a_counting_container_loses_no_line(mortal: Wherryd) -> None:
    script = "n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo $n; usleep 1000; done; exit 5"
    mortal.docker("run", "-d", "--name", "count", "busybox", "sh", "-c", script)
    for _ in range(4):
        time.sleep(0.5)
        restart_after_death(mortal, 0.2)
    assert mortal.docker("wait", "count").stdout == "5\n"
    assert mortal.docker("logs", "count").stdout == "".join(f"{n}\n" for n in range(1, 3001))
    mortal.docker("rm", "count")


def test_an_exit_while_no_daemon_runs(mortal: Wherryd) -> None:
    since = str(time.time())
    until_told = "until [ -e /go ]; do sleep 0.1; done"
    mortal.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", f"{until_told}; echo bye; exit 7")
    mortal.docker("run", "-d", "--rm", "--name", "goes", "busybox", "sh", "-c", until_told)
    pids = [mortal.state(name)["Pid"] for name in ("ends", "goes")]
    shims = [os.pidfd_open(shim_of(pid)) for pid in pids]
    mortal.kill9()
    for pid in pids:
        os.close(os.open(f"/proc/{pid}/root/go", os.O_CREAT))
    for shim in shims:
        dies(shim)
    time.sleep(0.6)
    back = time.time()
    mortal.start()
    assert (mortal.state("ends")["Status"], mortal.state("ends")["ExitCode"]) == ("exited", 7)
    assert mortal.docker("logs", "ends").stdout == "bye\n"
    eventually(lambda: mortal.get("/containers/goes/json").status == 404)
    out = mortal.docker(
        "events", "--since", since, "--until", str(int(time.time()) + 2), "--format", "{{json .}}"
    ).stdout
    told = [json.loads(line) for line in out.splitlines()]
    died = [each for each in told if each["Action"] == "die"]
    assert {each["Actor"]["Attributes"]["name"] for each in died} == {"ends", "goes"}
    assert all(each["timeNano"] / 1e9 < back - 0.5 for each in died)
    assert [each["Actor"]["Attributes"]["name"] for each in told if each["Action"] == "destroy"] == ["goes"]
    mortal.docker("rm", "ends")


def test_attach_and_exec_after_a_restart(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "-i", "--name", "cat", "busybox", "sh", "-c", "read x; echo got $x; exit 4")
    restart_after_death(mortal)
    assert mortal.docker("exec", "cat", "echo", "in").stdout == "in\n"
    client = subprocess.Popen(
        ["docker", "attach", "cat"], env=mortal.client_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(b"line\n")
    client.stdin.flush()
    # Its input stays open: a client that ends it leaves a container that keeps its stdin, as in Docker.
    assert client.stdout.read() == b"got line\n"
    client.stdin.close()
    client.stdout.close()
    assert client.wait(20) == 4
    mortal.docker("rm", "cat")


def test_restart_policies_apply_once_the_daemon_is_back(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "1")
    mortal.docker("run", "-d", "--name", "stopped", "--restart", "unless-stopped", "busybox", "sleep", "1000")
    mortal.docker("stop", "-t", "0", "stopped")
    mortal.kill9()
    time.sleep(2)
    mortal.start()
    eventually(lambda: mortal.state("always")["Running"])
    assert mortal.state("stopped")["Status"] == "exited"
    mortal.docker("rm", "-f", "always", "stopped")


def test_a_published_port_serves_meanwhile(mortal: Wherryd) -> None:
    serve, port = "while :; do echo hello | nc -l -p 80; done", free_port()
    mortal.docker("run", "-d", "--name", "web", "-p", f"{port}:80", "busybox", "sh", "-c", serve)
    time.sleep(0.5)
    mortal.kill9()
    assert served(port) == b"hello\n"
    mortal.start()
    assert served(port) == b"hello\n"
    done = mortal.docker("run", "--rm", "-p", f"{port}:80", "busybox", "true", check=False)
    assert "port is already allocated" in done.stderr
    mortal.docker("rm", "-f", "web")


def test_a_killed_shim_ends_its_own_container_only(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "one", "busybox", "sh", "-c", "echo before; sleep 1000")
    mortal.docker("run", "-d", "--name", "two", "busybox", "sleep", "1000")
    eventually(lambda: mortal.docker("logs", "one").stdout == "before\n")
    shim = shim_of(mortal.state("one")["Pid"])
    subprocess.run(["kill", "-9", str(shim)], check=True)
    assert mortal.docker("wait", "one").stdout == "137\n"
    assert "shim died" in mortal.state("one")["Error"]
    assert mortal.docker("logs", "one").stdout == "before\n"
    assert mortal.state("two")["Running"]
    mortal.docker("rm", "-f", "one", "two")


def test_a_killed_zygote_is_not_noticed(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    for zygote in children_of(mortal.pid):
        pidfd = os.pidfd_open(zygote)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        dies(pidfd)
    assert mortal.docker("run", "--rm", "busybox", "echo", "again").stdout == "again\n"
    assert mortal.state("one")["Running"]
    mortal.docker("rm", "-f", "one")


def test_sigterm_leaves_containers_running(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    pid = mortal.state("one")["Pid"]
    mortal.restart()
    assert mortal.state("one")["Pid"] == pid
    mortal.docker("rm", "-f", "one")


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]
