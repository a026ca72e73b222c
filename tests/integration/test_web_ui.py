"""A web UI in a real browser: lists, logs, stats and consoles, straight from the Engine API."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.ui.browser import Page, opened
from tests.ui.server import serving

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]

TALKER = "for i in 1 2 3 4 5; do echo line $i; done; echo trouble >&2; exec sleep 1000"
LABEL = ("--label", "shown-in-ui=yes", "--init")


@pytest.fixture
def containers(wherryd: Wherryd) -> Iterator[None]:
    """One that talks and serves a port, one with a console, one that has not been started, one of no label."""
    made = [
        ("run", "-d", "--name", "talker", "-p", "127.0.0.1::80", *LABEL, "busybox", "sh", "-c", TALKER),
        ("run", "-dit", "--name", "console", *LABEL, "busybox", "sh"),
        ("create", "--name", "waiting", *LABEL, "busybox", "sleep", "1000"),
        ("create", "--name", "unlabelled", "busybox"),
    ]
    for words in made:
        wherryd.docker(*words)
    yield
    wherryd.docker("rm", "-f", "talker", "console", "waiting", "unlabelled")


@pytest.fixture
async def page(wherryd: Wherryd, containers: None, tmp_path: Path) -> AsyncIterator[Page]:
    """The UI in a browser, which must not have seen an error in the end."""
    profile = tmp_path / "profile"
    profile.mkdir()
    async with serving(wherryd.socket) as address, opened(str(CHROMIUM), profile, address) as page:
        yield page
        (tmp_path / "page.png").write_bytes(await page.screenshot())
        assert page.errors == []


def cell(name: str, column: int) -> str:
    """What a column of a container's row shows, as an expression."""
    return f"document.querySelector('tr[data-name={name}]')?.cells[{column}].textContent"


def button(name: str, verb: str) -> str:
    return f"tr[data-name={name}] button[name={verb}]"


def text(identity: str) -> str:
    return f"document.getElementById('{identity}').textContent"


async def test_lists_logs_stats_and_consoles(wherryd: Wherryd, page: Page) -> None:
    await page.wait_for(f"{cell('talker', 2)} === 'running'")
    names = await page.look("[...document.querySelectorAll('#list tr')].map(row => row.dataset.name).sort()")
    assert names == ["console", "talker", "waiting"]
    assert (await page.look(cell("talker", 1)), await page.look(cell("waiting", 2))) == ("busybox", "created")
    published = wherryd.docker("port", "talker", "80").stdout.rpartition(":")[2].strip()
    assert await page.look(cell("talker", 4)) == f"{published}→80/tcp"
    assert "wherry" in await page.wait_for(text("engine"))

    await page.click(button("talker", "logs"))
    await page.wait_for(f"{text('logs')}.includes('trouble')")
    lines = (await page.look(text("logs"))).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["line 4", "line 5", "trouble"]
    assert all(line[10] == "T" and line.split()[0].endswith("Z") for line in lines), "timestamps"
    assert "trouble" in await page.look("document.querySelector('#logs .stderr').textContent")

    await page.click(button("talker", "stats"))
    await page.wait_for(f"{text('stats')}.split('\\n').length > 2")
    first = (await page.look(text("stats"))).splitlines()[0].split()
    assert float(first[1].rstrip("%")) < 50
    assert 0 < float(first[3].removesuffix("MiB")) < 100

    await page.click(button("console", "console"))
    await page.type("attach-input", "echo seen $((6 * 7)) by websocket")
    await page.wait_for(f"{text('attach')}.includes('seen 42 by websocket')")

    await page.click(button("talker", "exec"))
    await page.wait_for(f"{text('exec-of')} === 'talker (101×33)'")
    await page.type("exec-input", "stty size; hostname; exit 3")
    identity = wherryd.docker("inspect", "-f", "{{.Config.Hostname}}", "talker").stdout.strip()
    await page.wait_for(f"{text('exec')}.includes('{identity}')")
    await page.wait_for(f"{text('exec')}.endsWith('(closed)')")
    assert "33 101" in await page.look(text("exec"))


async def test_containers_come_and_go_while_it_is_looked_at(wherryd: Wherryd, page: Page) -> None:
    await page.click(button("waiting", "start"))
    await page.wait_for(f"{cell('waiting', 2)} === 'running'")
    await page.click(button("talker", "logs"))
    await page.wait_for(f"{text('logs')}.includes('trouble')")
    await page.click(button("talker", "stop"))
    await page.wait_for(f"{cell('talker', 2)} === 'exited'")
    await page.wait_for(f"{text('logs')}.endsWith('(the end)')")
    await page.click(button("waiting", "remove"))
    await page.wait_for("document.querySelector('tr[data-name=waiting]') === null")
    assert wherryd.docker("ps", "-aq", "-f", "name=waiting").stdout == ""
    await page.click(button("console", "console"))
    await page.type("attach-input", "exit 5")
    await page.wait_for(f"{text('attach')}.endsWith('(closed)')")
    await page.wait_for(f"{cell('console', 3)}.startsWith('Exited (5)')")
    state = json.loads(wherryd.docker("inspect", "-f", "{{json .State}}", "talker").stdout)
    assert state["ExitCode"] == 143
    wherryd.docker("create", "--name", "waiting", "busybox")
