"""Debian's postgres, redis and nginx beside each other, which keep their data whatever happens."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.roots import make_root
from tests.services.clients import RedisClient, page, pgbench, psql, visitor, write_page
from tests.services.images import POSTGRES, SERVICES, import_services
from tests.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

COMPOSE = """
x-on-the-bridge: &common {network_mode: bridge, restart: unless-stopped, stop_grace_period: 20s}
services:
  postgres:
    <<: *common
    image: postgres
    environment: {POSTGRES_PASSWORD: secret}
    volumes: ["pg:/data"]
    ports: ["127.0.0.1::5432"]
    shm_size: 128m
  redis:
    <<: *common
    image: redis
    volumes: ["rd:/data"]
    ports: ["127.0.0.1::6379"]
    command: [redis-server, --bind, "*", --protected-mode, "no", --appendonly, "yes"]
  nginx:
    <<: *common
    image: nginx
    volumes: ["www:/var/www/html", "./extra.conf:/etc/nginx/conf.d/extra.conf:ro"]
    ports: ["127.0.0.1::80"]
    tmpfs: [/var/lib/nginx]
volumes: {pg: , rd: , www: }
"""


@pytest.fixture(scope="module")
def wherryd() -> Iterator[Wherryd]:
    """A daemon of this module's own, with the three images."""
    daemon = Wherryd(make_root())
    try:
        daemon.start()
        import_services(daemon)
        yield daemon
    finally:
        daemon.destroy()


@pytest.fixture(autouse=True)
def nothing_stays(wherryd: Wherryd, no_leftovers: None) -> Iterator[None]:
    """Containers and volumes go after each test."""
    yield
    if left := wherryd.docker("ps", "-aq").stdout.split():
        wherryd.docker("rm", "-f", *left)
    wherryd.docker("volume", "prune", "-af")


def until(holds: Callable[..., bool], *words: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds(*words):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.05)


def start_all(wherryd: Wherryd) -> None:
    for service in SERVICES:
        service.run(wherryd)
    for service in SERVICES:
        until(service.is_ready, wherryd)


def check_users(wherryd: Wherryd) -> None:
    """All processes are of the service's own user, but for nginx's master."""
    for service in SERVICES:
        uid = wherryd.docker("run", "--rm", "--network", "none", service.name, "id", "-u", service.user)
        lines = wherryd.docker("top", service.name, "-eo", "uid,pid,args").stdout.splitlines()[1:]
        uids = {line.split()[0] for line in lines if "nginx: master" not in line}
        assert uids == {uid.stdout.strip()}, lines
        assert uid.stdout.strip() != "0"


def check_logs_and_stats(wherryd: Wherryd) -> None:
    shown = wherryd.docker("stats", "--no-stream", "--format", "json").stdout.splitlines()
    stats = {line["Name"]: line for line in map(json.loads, shown)}
    assert set(stats) == {service.name for service in SERVICES}
    assert all(int(line["PIDs"]) >= 1 and not line["MemUsage"].startswith("0B") for line in stats.values())
    assert re.match(r"[\d.]+[kM]B / ", stats["postgres"]["NetIO"]), "pgbench's rows came by the network"
    logs = {service.name: wherryd.docker("logs", service.name) for service in SERVICES}
    assert "ready to accept connections" in logs["postgres"].stderr
    assert "Ready to accept connections" in logs["redis"].stdout
    assert '"GET / HTTP/1.1" 200' in logs["nginx"].stdout
    assert "start worker process" in logs["nginx"].stderr


def check_terminal(wherryd: Wherryd) -> None:
    """Work in the servers as an operator does."""
    argv = ["docker", "exec", "-it", "-u", "postgres", "postgres", "psql", "--no-psqlrc", "-P", "pager=off"]
    with Terminal(argv, wherryd.client_env) as person:
        person.wait_for("postgres=#")
        person.type("select 6 * 7 as answer;\n")
        person.wait_for("(1 row)")
        assert " 42" in person.seen
        person.type("\\q\n")
        assert person.wait() == 0
    with Terminal(["docker", "exec", "-it", "redis", "redis-cli"], wherryd.client_env) as person:
        person.wait_for("127.0.0.1:6379>")
        person.type("incr visits\r")
        person.wait_for("(integer) 1\r\n127.0.0.1:6379>")
        person.type("quit\r")
        assert person.wait() == 0


def stop_all(wherryd: Wherryd) -> None:
    """Each ends by its own signal: with code 0, its last words, and long before it would be killed."""
    for service in SERVICES:
        started = time.monotonic()
        wherryd.docker("stop", "-t", "50", service.name)
        assert time.monotonic() - started < 40
        state = json.loads(wherryd.docker("inspect", "-f", "{{json .State}}", service.name).stdout)
        assert (state["ExitCode"], state["OOMKilled"], state["Status"]) == (0, False, "exited")
        logs = wherryd.docker("logs", service.name)
        assert service.stopped in logs.stdout + logs.stderr


def remove_all(wherryd: Wherryd) -> None:
    wherryd.docker("rm", "-v", *(service.name for service in SERVICES))


def test_they_keep_their_data(wherryd: Wherryd) -> None:
    start_all(wherryd)
    wherryd.docker("run", "--rm", *pgbench(wherryd, "-i"))
    with closing(RedisClient(wherryd)) as redis:
        assert redis.ask("SET kept yes") == "+OK"
        assert redis.ask("SAVE") == "+OK"
    assert wherryd.docker("exec", "redis", "redis-cli", "GET", "kept").stdout == "yes\n"
    with closing(visitor(wherryd)) as browser:
        assert wherryd.docker("exec", "nginx", "ls", "/var/www/html").stdout == "index.nginx-debian.html\n"
        assert "Welcome to nginx" in page(browser)
        write_page(wherryd, "written by an editor")
        assert page(browser) == "written by an editor\n"
    check_users(wherryd)
    check_logs_and_stats(wherryd)
    check_terminal(wherryd)

    assert "Total reclaimed space: 0B" in wherryd.docker("volume", "prune", "-af").stdout
    for service in SERVICES:
        assert "volume is in use" in wherryd.docker("volume", "rm", service.name, check=False).stderr
    stop_all(wherryd)
    assert "Total reclaimed space: 0B" in wherryd.docker("volume", "prune", "-af").stdout, "stopped is used"
    remove_all(wherryd)

    start_all(wherryd)
    assert psql(wherryd, "select count(*), sum(abalance) from pgbench_accounts") == "100000|0"
    with closing(RedisClient(wherryd)) as redis, closing(visitor(wherryd)) as browser:
        assert redis.ask("STRLEN kept") == ":3"
        assert redis.ask("INCR visits") == ":2"
        assert page(browser) == "written by an editor\n"
    names = wherryd.docker("volume", "ls", "-q").stdout.split()
    assert sorted(names) == sorted(service.name for service in SERVICES), "images' volumes are the named ones"


def test_they_serve_on_while_the_daemon_is_killed(wherryd: Wherryd) -> None:
    start_all(wherryd)
    wherryd.docker("run", "--rm", *pgbench(wherryd, "-i"))
    write_page(wherryd, "still here")
    load = wherryd.docker("run", "-d", "--name", "load", *pgbench(wherryd, "-T", "4", "-c", "4")).stdout
    with closing(RedisClient(wherryd)) as redis, closing(visitor(wherryd)) as browser:
        ports = {service.name: service.published(wherryd) for service in SERVICES}
        assert (redis.ask("INCR n"), page(browser)) == (":1", "still here\n")
        wherryd.kill9()
        assert (redis.ask("INCR n"), page(browser)) == (":2", "still here\n")
        for port in ports.values():
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        time.sleep(1)
        wherryd.start()
        assert (redis.ask("INCR n"), page(browser)) == (":3", "still here\n")
    assert {service.name: service.published(wherryd) for service in SERVICES} == ports
    assert wherryd.docker("wait", load.strip()).stdout == "0\n"
    told = wherryd.docker("logs", "load").stdout
    done = re.search(r"actually processed: (\d+)", told)
    assert done, told
    assert "failed transactions: 0 " in told
    stop_all(wherryd)
    remove_all(wherryd)

    start_all(wherryd)
    assert psql(wherryd, "select count(*) from pgbench_history") == done[1]
    sums = psql(
        wherryd,
        "select (select sum(abalance) from pgbench_accounts) ="
        " (select coalesce(sum(delta), 0) from pgbench_history)",  # a busy host may have come to none
    )
    assert sums == "t"
    with closing(RedisClient(wherryd)) as redis, closing(visitor(wherryd)) as browser:
        assert (redis.ask("INCR n"), page(browser)) == (":4", "still here\n")


def test_a_server_that_is_killed_comes_back_and_recovers(wherryd: Wherryd) -> None:
    cid = POSTGRES.run(wherryd, "--restart", "on-failure")
    until(POSTGRES.is_ready, wherryd)
    psql(wherryd, "create table t as select generate_series(1, 1000) n")
    os.kill(int(wherryd.docker("inspect", "-f", "{{.State.Pid}}", cid).stdout), signal.SIGKILL)
    until(lambda: wherryd.docker("inspect", "-f", "{{.RestartCount}}", cid).stdout == "1\n")
    until(POSTGRES.is_ready, wherryd)
    assert psql(wherryd, "select sum(n) from t") == "500500"
    assert "automatic recovery in progress" in wherryd.docker("logs", cid).stderr


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker compose")
def test_as_a_project_of_compose(wherryd: Wherryd, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "extra.conf").write_text("add_header From-Project site;\n")

    def compose(*args: str) -> str:
        argv = ["docker", "compose", "--project-name", "site", "--project-directory", str(tmp_path), *args]
        done = subprocess.run(argv, env=wherryd.client_env, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def in_postgres(*argv: str) -> str:
        return compose("exec", "-T", "-u", "postgres", "postgres", *argv).strip()

    for rows in ("1", "2"):
        compose("up", "--detach", "--wait")
        for service in SERVICES:
            until(service.is_ready, wherryd, f"site-{service.name}-1")
        in_postgres("psql", "-c", "create table if not exists t (n int); insert into t values (1)")
        assert in_postgres("psql", "-Atc", "select count(*) from t") == rows
        assert compose("exec", "-T", "redis", "redis-cli", "INCR", "n").strip() == rows
        compose("exec", "-T", "nginx", "sh", "-c", "echo row >>/var/www/html/index.html")
        port = int(compose("port", "nginx", "80").rpartition(":")[2])
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as browser:
            assert page(browser) == "row\n" * int(rows)
            browser.request("HEAD", "/")
            assert browser.getresponse().headers["From-Project"] == "site"
        assert in_postgres("df", "--output=size", "-BM", "/dev/shm").split()[-1] == "128M"
        compose("stop")
        shown = [json.loads(line) for line in compose("ps", "--all", "--format", "json").splitlines()]
        assert {each["Service"]: each["ExitCode"] for each in shown} == {
            "postgres": 0,
            "redis": 0,
            "nginx": 0,
        }
        compose("down")
    compose("down", "--volumes")
    assert wherryd.docker("volume", "ls", "-q").stdout == ""
