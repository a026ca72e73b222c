"""SIGHUP, SIGTERM, and the end of everything by `wherryd --stop-containers`."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.daemon import PATH, Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root


def reload(mortal: Wherryd, settings: str) -> str:
    """Reload with a configuration file; returns what the log says of it."""
    before = len(mortal.log.read_text())
    mortal.config_file.write_text(settings)
    os.kill(mortal.pid, signal.SIGHUP)
    eventually(lambda: "reloaded" in mortal.log.read_text()[before:])
    return mortal.log.read_text()[before:]


def test_reload(mortal: Wherryd) -> None:
    info = mortal.get("/info").json
    assert (info["Labels"], info["Debug"]) == ([], False)
    reload(mortal, '{"labels": ["a=b"], "debug": true, "shutdown-timeout": 7}')
    eventually(lambda: mortal.get("/info").json["Labels"] == ["a=b"])
    assert mortal.get("/info").json["Debug"] is True
    for bad in ("{", '{"labels": 5}', '{"no-such-key": 1}', '{"log-level": "loud"}'):
        assert "was not reloaded" in reload(mortal, bad)
        info = mortal.get("/info").json
        assert (info["Labels"], info["Debug"]) == (["a=b"], True), bad
    reload(mortal, "{}")
    eventually(lambda: mortal.get("/info").json["Labels"] == [])
    now = int(time.time()) + 1
    told = mortal.docker("events", "--since", "0", "--until", str(now), "--format", "{{json .}}").stdout
    actions = [json.loads(line)["Action"] for line in told.splitlines()]
    assert actions.count("reload") == 2


def test_signals_while_requests_last_end_the_daemon(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "one", "busybox", "sh", "-c", "while :; do echo x; sleep 0.1; done")
    env = mortal.client_env
    commands = (["events"], ["logs", "-f", "one"], ["wait", "one"], ["attach", "one"])
    clients = [
        subprocess.Popen(["docker", *command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    time.sleep(0.5)
    assert mortal.terminate(timeout=8) == 0
    for client in clients:
        client.wait(10)
    assert not mortal.socket.exists()
    assert not mortal.pidfile.exists()
    mortal.start()
    assert mortal.state("one")["Running"]
    mortal.docker("rm", "-f", "one")


def test_stop_containers(mortal: Wherryd) -> None:
    run = ("run", "-d", "--name")
    obeys = "trap 'exit 7' USR1; while :; do sleep 0.1; done"
    mortal.docker(*run, "obeys", "--stop-signal", "USR1", "busybox", "sh", "-c", obeys)
    mortal.docker(*run, "deaf", "--stop-timeout", "1", "busybox", "sh", "-c", "trap '' TERM; sleep 1000")
    mortal.docker(*run, "back", "--stop-timeout", "1", "--restart", "always", "busybox", "sleep", "1000")
    unless = ("--stop-timeout", "1", "--restart", "unless-stopped")
    mortal.docker(*run, "unless", *unless, "busybox", "sleep", "1000")
    mortal.docker(*run, "gone", "--rm", "--stop-timeout", "1", "busybox", "sleep", "1000")
    mortal.docker(*run, "paused", "--stop-timeout", "1", "busybox", "sleep", "1000")
    mortal.docker("pause", "paused")
    time.sleep(0.3)
    argv = [sys.executable, "-I", "-m", "api", "--stop-containers", "--pidfile", str(mortal.pidfile)]
    argv += ["--config-file", str(mortal.config_file)]
    done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": PATH}, cwd="/", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert not mortal.alive
    mortal.start()
    assert (mortal.state("obeys")["Status"], mortal.state("obeys")["ExitCode"]) == ("exited", 7)
    assert mortal.state("deaf")["ExitCode"] == 137
    assert mortal.state("paused")["Status"] == "exited"
    eventually(lambda: mortal.state("back")["Running"] and mortal.state("unless")["Running"])
    eventually(lambda: mortal.get("/containers/gone/json").status == 404)
    mortal.docker("rm", "-f", "obeys", "deaf", "back", "unless", "paused")
    nobody = subprocess.run([*argv, "--pidfile", "/nowhere"], capture_output=True, text=True, cwd="/")
    assert nobody.returncode == 1


def test_an_exit_recorded_and_not_followed_is_followed_at_boot(mortal: Wherryd) -> None:
    """`--rm`: the daemon dies between the record of the end and the removal."""
    mortal.docker(
        "run", "-d", "--rm", "--name", "cc", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done"
    )
    mortal.dies_at("exit.recorded")
    mortal.docker("exec", "cc", "touch", "/go", check=False)
    eventually(lambda: not mortal.alive)
    mortal.start()
    eventually(lambda: mortal.get("/containers/cc/json").status == 404)
