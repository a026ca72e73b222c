"""Headless Chromium, driven by its DevTools protocol."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

# The sandbox needs another user than root; the rest keeps Chromium from looking for hosts of its maker.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--window-size=1200,900",
)
START_TIMEOUT = 60.0
# Whether a click hit what it was aimed at.
_HEED = (
    "window.heeds ??= !document.addEventListener("
    "'click', event => { if (event.target.closest(window.aim)) window.hit = true }, true)"
)


@contextlib.asynccontextmanager
async def opened(chromium: str, profile: Path, address: str) -> AsyncIterator["Page"]:
    """Show a page in a browser of its own; profile is an empty directory for it."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as temporary:
        process = _start(chromium, profile, temporary, address)
        try:
            port = await _port(process, profile)
            async with ClientSession() as session:
                address = await _devtools(session, port)
                async with session.ws_connect(address, max_msg_size=0) as devtools:
                    page = Page(devtools)
                    await page.watch_errors()
                    yield page
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(chromium: str, profile: Path, temporary: str, address: str) -> "subprocess.Popen[bytes]":
    argv = [chromium, *FLAGS, f"--user-data-dir={profile}", address]
    # Chromium binds a socket below TMPDIR: the path has to be short.
    environment = {**os.environ, "HOME": str(profile), "TMPDIR": temporary}
    with (profile / "log").open("wb") as log:
        return subprocess.Popen(argv, stdout=log, stderr=log, env=environment, start_new_session=True)


async def _port(process: "subprocess.Popen[bytes]", profile: Path) -> int:
    """The port that Chromium took, which it writes to a file."""
    told, deadline = profile / "DevToolsActivePort", time.monotonic() + START_TIMEOUT
    while not (told.exists() and told.read_text().count("\n")):
        assert process.poll() is None, (profile / "log").read_text(errors="replace")
        assert time.monotonic() < deadline, "Chromium does not come up"
        await asyncio.sleep(0.05)
    return int(told.read_text().split()[0])


async def _devtools(session: ClientSession, port: int) -> str:
    """Where the page is spoken to, once it is there: the port tells nothing of that."""
    async with asyncio.timeout(START_TIMEOUT):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [each for each in await answer.json() if each["type"] == "page"]
            if pages:
                (page,) = pages
                return str(page["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)


class Page:
    """A page as its user has it: looks, clicks, types. What its scripts complain of is kept in errors."""

    def __init__(self, devtools: ClientWebSocketResponse) -> None:
        self._devtools = devtools
        self._calls = 0
        self.errors: list[str] = []

    async def watch_errors(self) -> None:
        """Learn of errors from now on, and of those before."""
        await self._call("Runtime.enable")
        await self._call("Log.enable")

    async def look(self, expression: str) -> Any:
        """What an expression is worth in the page."""
        answer = await self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def wait_for(self, expression: str, seconds: float = 20) -> Any:
        """Wait until an expression is truthy, and return what it is worth."""
        deadline = time.monotonic() + seconds
        while not (value := await self.look(expression)):
            if time.monotonic() > deadline:
                text = await self.look("document.body.innerText")
                raise AssertionError(f"never true: {expression}\n{text}\n{self.errors}")
            await asyncio.sleep(0.05)
        return value

    async def click(self, selector: str) -> None:
        """Press the mouse's button on the middle of an element; again where the page moved or renewed it meanwhile."""
        async with asyncio.timeout(20):
            while not await self._hits(selector):
                pass

    async def _hits(self, selector: str) -> Any:
        where = await self.wait_for(
            f"(r => r && {{x: r.x + r.width / 2, y: r.y + r.height / 2}})"
            f"(document.querySelector({json.dumps(selector)})?.getBoundingClientRect())"
        )
        await self.look(f"window.hit = false, window.aim = {json.dumps(selector)}, {_HEED}")
        for kind in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", type=kind, **where, button="left", clickCount=1)
        return await self.look("window.hit")

    async def type(self, identity: str, text: str) -> None:
        """Type a line in an input field, when it is ready and has the focus."""
        await self.wait_for(f"document.activeElement.id === {json.dumps(identity)}")
        await self._call("Input.insertText", text=text)
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        await self._call("Input.dispatchKeyEvent", type="keyDown", **enter)
        await self._call("Input.dispatchKeyEvent", type="keyUp", **enter)

    async def screenshot(self) -> bytes:
        """A picture of what is seen (PNG)."""
        return base64.b64decode((await self._call("Page.captureScreenshot"))["data"])

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._calls += 1
        await self._devtools.send_json({"id": self._calls, "method": method, "params": params})
        while True:
            message = await self._devtools.receive_json(timeout=30)
            if message.get("id") == self._calls:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
