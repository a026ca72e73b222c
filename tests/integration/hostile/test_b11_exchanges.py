"""Hundreds of copies while directories and files change places with links to the host's files at the kernel's speed."""

import base64
import ctypes
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.daemon import Wherryd
from tests.integration.hostile.test_b11_b12_copies import content, digest, packed
from tests.unix_http import call

pytestmark = pytest.mark.root

REQUESTS = 300
EXCHANGES = 2000  # rounds of all names: many for each request
AT_ONCE = 4
SIZE = 4242  # bytes of the host's file, as no other has
PLACES = ("/work", "/v", "/b", "/way/deep/volume")
SETUP = """
for d in /work /v /b /way/deep/volume; do
  mkdir -p $d/way/sub; echo inside > $d/way/secret; echo inside > $d/file
  ln -s {canary} $d/lure; ln -s {canary}/secret $d/bait
done
ln -s {canary} /lure
exec sleep 1000
"""
_IN_ALL = 0xFFF
_IN_NONBLOCK = os.O_NONBLOCK
_EXPECTED = {200, 400, 404, 409}


class Watch:
    """Whatever somebody does to a directory of the host or to the files in it: opening, reading, changing."""

    def __init__(self, *paths: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(_IN_NONBLOCK)
        for path in paths:
            assert libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_ALL) >= 0

    def seen(self) -> bool:
        """Whether anything was done."""
        try:
            return bool(os.read(self._fd, 1 << 16))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Look no more."""
        os.close(self._fd)


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the host that no container has."""
    directory = tmp_path_factory.mktemp("canary")
    (directory / "secret").write_text("outside\n".ljust(SIZE))
    (directory / "sub").mkdir()
    return directory


@pytest.fixture
def exchanged(wherryd: Wherryd, canary: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """What exchanges names in a container called "exchanged", also where volumes are mounted."""
    (tmp_path / "bound").mkdir()
    wherryd.docker(
        "run", "-d", "--name", "exchanged", "--network", "none", "-v", "exchanged:/v", "-v", f"{tmp_path}/bound:/b",
        "-v", "deep:/way/deep/volume", "busybox", "sh", "-c", SETUP.replace("{canary}", str(canary)),
    )  # fmt: skip
    try:
        wherryd.docker("exec", "exchanged", "sh", "-c", "until [ -L /lure ]; do sleep 0.05; done")
        pid = wherryd.docker("inspect", "-f", "{{.State.Pid}}", "exchanged").stdout.strip()
        pairs = [name for place in PLACES for name in (f"{place}/way", f"{place}/lure")]
        pairs += [name for place in PLACES for name in (f"{place}/file", f"{place}/bait")]
        # The place of a volume itself goes away and comes back, all other pairs being found by either way.
        pairs = ["/way", "/lure", "/way", "/lure", *pairs]
        program = str(Path(__file__).with_name("exchanger.py"))
        with subprocess.Popen(
            [sys.executable, "-I", program, pid, *pairs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
    finally:
        wherryd.docker("rm", "-f", "-v", "exchanged")
        wherryd.docker("volume", "rm", "exchanged", "deep")


def requests() -> Iterator[tuple[str, str, bytes | None]]:
    """Methods, paths and bodies, without end."""
    into = packed("secret", "sub/new", "new")
    beside = packed("way/secret", "way/sub/new", "way/new", "file", "bait/new")
    for place in itertools.cycle(PLACES):
        for name in ("way/", "way/secret", "file", ""):
            yield "HEAD", f"{place}/{name}", None
            yield "GET", f"{place}/{name}", None
        yield "PUT", f"{place}/way/", into
        yield "PUT", place, beside


def copy(wherryd: Wherryd, method: str, path: str, body: bytes | None) -> tuple[str, int]:
    """One copy, of which nothing may be the host's. It is cut off if a directory goes while it is read."""
    target = f"/v1.45/containers/exchanged/archive?path={quote(path)}"
    try:
        answer = call(wherryd.socket, method, target, body)
    except IncompleteRead:
        return method, 0
    assert answer.status in _EXPECTED, answer
    if method != "PUT" and answer.status == 200:
        facts = json.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"]))
        assert facts["size"] != SIZE, (path, facts)
    if method == "GET" and answer.status == 200:
        assert all(each in (b"inside\n", b"pwned", b"") for each in content(answer.body)), path
    return method, answer.status


def test_exchanges(wherryd: Wherryd, exchanged: subprocess.Popen[str], canary: Path) -> None:
    before = digest(canary)
    watch = Watch(canary, canary / "secret", canary / "sub")
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            wanted = itertools.islice(requests(), REQUESTS)
            done = Counter(pool.map(lambda request: copy(wherryd, *request), wanted))
        assert not watch.seen(), "something of the host was opened, read or changed"
        assert digest(canary) == before
        assert watch.seen(), "the watch sees what is read"
    finally:
        watch.close()
    for method in ("HEAD", "GET", "PUT"):
        assert done[method, 200] > 0, done
    exchanges, _ = exchanged.communicate(input="")
    assert int(exchanges) > EXCHANGES, "the names have hardly changed places"
