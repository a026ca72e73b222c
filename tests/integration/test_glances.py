"""Glances, which many watch their machines and containers with, in a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.daemon import Wherryd
from tests.ui.browser import opened

CHROMIUM = shutil.which("chromium")
GLANCES = REPOSITORY / ".cache/glances/bin/glances"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.skipif(not GLANCES.exists(), reason="Glances is installed by `make setup-test`"),
]

BUSY = "while :; do :; done"


@pytest.fixture
def glances(wherryd: Wherryd, tmp_path: Path) -> Iterator[str]:
    """Its web server with the panel of containers alone; gives the page's address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    only = ("--disable-plugin", "all", "--enable-plugin", "containers", "--time", "1")
    argv = [str(GLANCES), "--webserver", "--bind", "127.0.0.1", "--port", str(port), *only]
    quiet = ("--disable-autodiscover", "--disable-check-update")
    environment = {**wherryd.client_env, "XDG_CONFIG_HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, *quiet], stdout=log, stderr=log, env=environment, start_new_session=True
        )
    deadline = time.monotonic() + 30
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, "Glances does not come up"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def containers(wherryd: Wherryd) -> Iterator[None]:
    wherryd.docker("run", "-d", "--name", "busy", "--cpus", "0.3", "busybox", "sh", "-c", BUSY)
    wherryd.docker("run", "-d", "--name", "idle", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    yield
    wherryd.docker("rm", "-f", "busy", "idle")


def cells(name: str) -> str:
    """The texts of a container's row as they are seen, as an expression: [] while there is none."""
    texts = "[...row.cells].filter(cell => cell.offsetParent).map(cell => cell.innerText)"
    rows = f"[...document.querySelectorAll('#containers tr')].map(row => {texts})"
    return f"({rows}.find(row => row.includes('{name}')) ?? [])"


def shown(name: str) -> str:
    """What is shown of a container by the heads of columns, as an expression: null while there is no whole row.

    Heads and row are read at once: columns come and go with what is known.
    """
    whole = "row.length && row.length === head.length"
    by_head = "Object.fromEntries(head.map((column, at) => [column, row[at]]))"
    return f"((head, row) => {whole} ? {by_head} : null)({cells('CPU%')}, {cells(name)})"


async def test_it_shows_containers_and_their_use(
    wherryd: Wherryd, containers: None, glances: str, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    async with opened(str(CHROMIUM), profile, glances) as page:
        await page.wait_for(f"Number(({shown('busy')})?.['CPU%']) > 1")  # where much else runs it gets little
        idle = await page.wait_for(shown("idle"))
        (tmp_path / "page.png").write_bytes(await page.screenshot())
        assert idle["Status"] == "running"
        assert float(idle["CPU%"]) < 1
        assert idle["MEM"][-1] in "KM"
        published = wherryd.docker("port", "idle", "80").stdout.rpartition(":")[2].strip()
        assert idle["Ports"] == f"{published}->80/tcp"
        wherryd.docker("rm", "-f", "idle")
        await page.wait_for(f"{cells('idle')}.length === 0")
        assert page.errors == []
