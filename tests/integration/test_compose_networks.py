"""docker compose with networks of its own: three of them, as a shop has that keeps its database apart."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker compose"),
]

FILE = """
services:
  proxy:
    image: busybox
    command: &serve ["sh", "-c", "mkdir -p /www; hostname > /www/name; httpd -f -p 80 -h /www"]
    init: true
    networks: [front]
    ports: ["127.0.0.1::80"]
  app:
    image: busybox
    command: *serve
    init: true
    deploy: {replicas: 2}
    networks: {front: {aliases: [shop]}, back: {}}
  db:
    image: busybox
    command: *serve
    init: true
    hostname: dbhost
    networks:
      back: {ipv4_address: 10.209.0.77, aliases: [store]}
  backup:
    image: busybox
    command: *serve
    init: true
    networks:
      back: {}
      archive: {}
networks:
  front: {}
  back:
    internal: true
    labels: {tier: data}
    ipam: {config: [{subnet: 10.209.0.0/24, gateway: 10.209.0.254}]}
  archive:
    name: archive-by-name
    driver: bridge
    driver_opts: {com.docker.network.driver.mtu: "1400"}
"""

Compose = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def compose(wherryd: Wherryd, tmp_path: Path) -> Iterator[Compose]:
    """Run compose on the file; what it made is taken down after the test."""
    (tmp_path / "compose.yaml").write_text(FILE)
    base = ["docker", "compose", "--project-name", "shop", "--project-directory", str(tmp_path)]

    def run(*args: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*base, *args], env=wherryd.client_env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    yield run
    run("down", "--timeout", "0")


def of(wherryd: Wherryd, kind: str, name: str) -> dict[str, Any]:
    (found,) = json.loads(wherryd.docker(kind, "inspect", name).stdout)
    return dict(found)


def attached(wherryd: Wherryd, network: str) -> set[str]:
    return {each["Name"] for each in of(wherryd, "network", network)["Containers"].values()}


def fetched(wherryd: Wherryd, service: str, name: str, times: int = 1) -> set[str]:
    """Who answers by that name from there."""
    ask = f"for i in $(seq {times}); do wget -q -T 2 -O - http://{name}/name; done"
    return set(wherryd.docker("exec", f"shop-{service}-1", "sh", "-c", ask, check=False).stdout.split())


def test_three_networks(wherryd: Wherryd, compose: Compose) -> None:
    compose("up", "--detach", "--wait")
    listed = wherryd.docker("network", "ls", "-q", "-f", "type=custom", "--format", "{{.Name}}").stdout
    assert set(listed.split()) == {"shop_front", "shop_back", "archive-by-name"}
    assert attached(wherryd, "shop_front") == {"shop-proxy-1", "shop-app-1", "shop-app-2"}
    assert attached(wherryd, "shop_back") == {"shop-app-1", "shop-app-2", "shop-db-1", "shop-backup-1"}
    assert attached(wherryd, "archive-by-name") == {"shop-backup-1"}
    assert of(wherryd, "network", "shop_back")["Labels"]["tier"] == "data"
    ends = of(wherryd, "container", "shop-db-1")["NetworkSettings"]["Networks"]
    assert ends["shop_back"]["IPAddress"] == "10.209.0.77"
    apps = {of(wherryd, "container", f"shop-app-{number}")["Config"]["Hostname"] for number in (1, 2)}
    eventually(lambda: fetched(wherryd, "app", "db") == {"dbhost"})  # they are started, and not yet listening
    eventually(lambda: fetched(wherryd, "proxy", "app", times=40) == apps)
    assert fetched(wherryd, "proxy", "shop", times=40) == apps
    assert fetched(wherryd, "app", "store") == {"dbhost"}
    assert fetched(wherryd, "backup", "shop-db-1") == {"dbhost"}
    assert fetched(wherryd, "proxy", "db") == fetched(wherryd, "proxy", "10.209.0.77") == set()


def test_changes_and_the_end(wherryd: Wherryd, compose: Compose) -> None:
    """A service that is made anew has its names again; scaled ones go; down leaves none of the networks."""
    compose("up", "--detach", "--wait")
    compose("up", "--detach", "--wait", "--force-recreate", "--timeout", "0", "db")
    eventually(lambda: fetched(wherryd, "app", "db") == {"dbhost"})  # it is started, and not yet listening
    compose("up", "--detach", "--wait", "--timeout", "0", "--scale", "app=1")
    assert attached(wherryd, "shop_front") == {"shop-proxy-1", "shop-app-1"}
    compose("stop", "--timeout", "0")
    assert attached(wherryd, "shop_front") == set()
    compose("start")
    assert attached(wherryd, "shop_front") == {"shop-proxy-1", "shop-app-1"}
    eventually(lambda: fetched(wherryd, "app", "store") == {"dbhost"})
    compose("down", "--timeout", "0")
    assert wherryd.docker("network", "ls", "-q", "-f", "type=custom").stdout == ""
