"""Contexts, and servers on this machine to fetch them from."""

import contextlib
import functools
import http.server
import os
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.build.contexts.contexts import Contexts
from engine.build.contexts.local import LocalSources
from engine.build.contexts.url_files import UrlFiles
from engine.build.solver.records import SCHEMA, CacheStore
from engine.database import Database, Migration
from engine.registry.client import Registry
from engine.registry.hosts import Settings
from runtime.copying.workers import Workers
from tests.ports import free_port
from tests.waiting import eventually

GIT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
WHO = (
    "-c",
    "user.name=a",
    "-c",
    "user.email=b@c",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "protocol.file.allow=always",
)


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[CacheStore]:
    """Records of a build cache."""
    database = await Database.open(tmp_path / "state.db", [Migration(1, SCHEMA)])
    try:
        yield CacheStore(database)
    finally:
        await database.close()


@pytest.fixture
def local(tmp_path: Path, cache: CacheStore) -> LocalSources:
    """Clients' directories that are kept."""
    (tmp_path / "cache").mkdir()
    return LocalSources(cache, tmp_path / "cache")


@pytest.fixture
async def contexts(tmp_path: Path, local: LocalSources, cache: CacheStore) -> AsyncIterator[Contexts]:
    """A place for contexts; none may be left in it."""
    workers, registry = Workers(), Registry(Settings())
    place = tmp_path / "contexts"
    try:
        yield Contexts(place, workers, registry, local, UrlFiles(cache, registry, tmp_path / "cache"))
        assert not place.exists() or os.listdir(place) == []
    finally:
        await registry.close()
        await workers.close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Serve files, but send those who ask for /moved to /f, and give that as /unsaid without its length."""
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/f")
            self.end_headers()
        elif self.path == "/unsaid":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(Path(self.directory, "f").read_bytes())
        else:
            super().do_GET()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of files: its URL and their directory."""
    files = tmp_path / "web"
    files.mkdir()
    handler = functools.partial(_Handler, directory=str(files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", files
        finally:
            server.shutdown()
            serving.join()


def git(place: Path, *arguments: str) -> str:
    """Run git in a repository."""
    done = subprocess.run(["git", *WHO, *arguments], cwd=place, env=GIT, check=True, capture_output=True)
    return done.stdout.decode().strip()


def answers(family: int, address: str | tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    with socket.socket(family) as one:
        return not one.connect_ex(address)


@pytest.fixture
def repositories(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of repositories: its URL, and their directory, which has x.git with a branch, tags and a submodule."""
    place = tmp_path / "repositories"
    for name in ("sub.git", "x.git"):
        (place / name).mkdir(parents=True)
        git(place / name, "init", "-q")
        (place / name / "f").write_text(f"{name} 1\n")
        git(place / name, "add", ".")
        git(place / name, "commit", "-qm", "one")
    x = place / "x.git"
    git(x, "tag", "light")
    git(x, "tag", "-am", "heavy", "heavy")
    port = free_port()
    url = f"git://127.0.0.1:{port}"
    git(x, "submodule", "--quiet", "add", str(place / "sub.git"), "module")
    git(x, "config", "-f", ".gitmodules", "submodule.module.url", f"{url}/sub.git")
    (x / "dir/deep").mkdir(parents=True)
    (x / "dir/deep/g").write_text("g\n")
    (x / "out").symlink_to("/etc")
    (x / "up").symlink_to("../..")
    (x / "f").write_text("x.git 2\n")
    git(x, "add", ".")
    git(x, "commit", "-qm", "two")
    git(x, "branch", "light")
    git(x, "branch", "other")
    command = ["git", "daemon", "--reuseaddr", f"--port={port}", "--listen=127.0.0.1", "--export-all"]
    daemon = subprocess.Popen([*command, f"--base-path={place}", str(place)], env=GIT)
    try:
        eventually(lambda: answers(socket.AF_INET, ("127.0.0.1", port)))
        yield url, place
    finally:
        daemon.terminate()
        daemon.wait()
