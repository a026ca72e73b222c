"""Projects as people have them, with a daemon of their own: Debian with Python and a C compiler, nginx, Node."""

import http.client
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.daemon import Wherryd
from tests.images import roots
from tests.images.room import roomy_root
from tests.integration.build.buildkit.conftest import buildx, docker_context, no_leftovers
from tests.services.images import NGINX
from tests.wire.answers import Answers, watch

__all__ = ["docker_context", "no_leftovers"]

NODE = REPOSITORY / ".cache/images/node/node.tar"
"""Debian with Node.js and apt."""
WAYS = ("1", "0")
"""DOCKER_BUILDKIT: by BuildKit's API, and by the classic one."""
Build = Callable[..., subprocess.CompletedProcess[str]]
Fetch = Callable[[str, int], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They need buildx, and images that are made once."""
    missing = [roots.missing()] if roots.missing() else []
    missing += [] if buildx() else ["needs buildx"]
    missing += [] if NGINX.tar.exists() else ["needs nginx.tar (make setup-test makes it)"]
    for item in items if missing else []:
        item.add_marker(pytest.mark.skip(reason="; ".join(missing)))


@pytest.fixture(scope="package")
def wherryd(busybox_tar: Path, session_root: Path, watched: list[Answers]) -> Iterator[Wherryd]:
    """A daemon of these tests' own, with python:3, which is gcc:14 as well, and nginx."""
    daemon = Wherryd(roomy_root())
    watched += watch(daemon, session_root)
    with daemon.running(busybox_tar):
        daemon.docker("import", "--change", 'CMD ["python3"]', str(roots.GCC), "python:3")
        daemon.docker("tag", "python:3", "gcc:14")
        nginx = [word for change in NGINX.changes for word in ("--change", change)]
        daemon.docker("import", *nginx, str(NGINX.tar), "nginx")
        yield daemon


@pytest.fixture
def node(wherryd: Wherryd) -> Iterator[str]:
    """The image with Node.js and apt."""
    if not NODE.exists():
        pytest.skip(f"no {NODE} (make setup-test makes it)")
    wherryd.docker("import", "--change", 'CMD ["node"]', str(NODE), "node:20")
    yield "node:20"
    wherryd.docker("rmi", "node:20")


@pytest.fixture
def build(wherryd: Wherryd) -> Build:
    """Run `docker build`, by either API."""

    def run(directory: Path, *args: str, way: str = "1") -> subprocess.CompletedProcess[str]:
        env = {**wherryd.client_env, "DOCKER_BUILDKIT": way}
        argv = ["docker", "build", *args, str(directory)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def fetch(wherryd: Wherryd) -> Fetch:
    """Get a page of a container by its published port, as soon as it serves."""

    def get(container: str, port: int) -> str:
        host, _, published = wherryd.docker("port", container, str(port)).stdout.strip().rpartition(":")
        deadline = time.monotonic() + 20
        while True:
            connection = http.client.HTTPConnection(host, int(published), timeout=10)
            try:
                connection.request("GET", "/")
                return connection.getresponse().read().decode()
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline, wherryd.docker("logs", container).stderr
                time.sleep(0.05)
            finally:
                connection.close()

    return get


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """A directory with these files, all of the same time."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return directory
