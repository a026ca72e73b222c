"""Networks that only the classic API asks for by their names: a user's, and another container's."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.run.steps import held
from tests.waiting import eventually

pytestmark = pytest.mark.root


def build(daemon: Wherryd, context: Path, network: str) -> subprocess.CompletedProcess[bytes]:
    """Build by the classic API; its output."""
    env = {**daemon.client_env, "DOCKER_BUILDKIT": "0"}
    command = ["docker", "build", "--rm", "--no-cache", "--network", network, str(context)]
    return subprocess.run(command, capture_output=True, env=env, timeout=60)


@pytest.fixture(autouse=True)
def cleaned(wherryd: Wherryd) -> Iterator[None]:
    """Nothing is left of a test's steps."""
    before = held(wherryd)
    yield
    wherryd.docker("image", "prune", "-f")
    wherryd.docker("builder", "prune", "-af")
    eventually(lambda: held(wherryd) <= before)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A step that tells its addresses, and what it finds of a name."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN ip -4 addr; nslookup other || true\n")
    return tmp_path


def test_network_of_a_user(wherryd: Wherryd, context: Path) -> None:
    wherryd.docker("network", "create", "--subnet", "10.77.0.0/24", "own")
    wherryd.docker(
        "run", "-d", "--name", "other", "--network", "own", "--ip", "10.77.0.9", "busybox", "sleep", "1000"
    )
    try:
        said = build(wherryd, context, "own").stdout.decode()
        assert "inet 10.77.0." in said
        assert "10.77.0.9" in said
    finally:
        wherryd.docker("rm", "-f", "other")
        wherryd.docker("network", "rm", "own")


def test_network_of_a_container(wherryd: Wherryd, context: Path) -> None:
    wherryd.docker("run", "-d", "--name", "donor", "busybox", "sleep", "1000")
    try:
        address = wherryd.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "donor").stdout.strip()
        assert f"inet {address}/" in build(wherryd, context, "container:donor").stdout.decode()
        wherryd.docker("kill", "donor")
        failed = build(wherryd, context, "container:donor")
        assert failed.returncode != 0
        assert b"cannot join network of a non running container" in failed.stderr
    finally:
        wherryd.docker("rm", "-f", "donor")


def test_network_that_is_not_there(wherryd: Wherryd, context: Path) -> None:
    failed = build(wherryd, context, "nosuch")
    assert failed.returncode != 0
    assert b"network nosuch not found" in failed.stderr
