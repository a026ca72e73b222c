"""What stands between a browser and the daemon's socket: the page's files, the whole API below /engine, and a
WebSocket for the input and output of an exec, which the API gives by hijack only.

So do Portainer and its like: the browser speaks the Engine API, and the server carries it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, UnixConnector, WSMessage, WSMsgType, web

HERE = Path(__file__).parent
SOCKET = web.AppKey("SOCKET", Path)
ENGINE = web.AppKey("ENGINE", ClientSession)
HOP_BY_HOP = {"connection", "host", "transfer-encoding", "content-length", "upgrade"}


@contextlib.asynccontextmanager
async def serving(socket: Path) -> AsyncIterator[str]:
    """Serve the page in front of a daemon's socket; gives the page's address."""
    app = web.Application()
    app[SOCKET] = socket
    app.router.add_route("*", "/engine/{path:.*}", _engine)
    app.router.add_get("/websocket/exec", _exec)
    app.router.add_static("/", HERE)
    connector, unlimited = UnixConnector(str(socket), limit=0), ClientTimeout(total=None)
    async with ClientSession(connector=connector, timeout=unlimited, auto_decompress=False) as engine:
        app[ENGINE] = engine
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/index.html"
        finally:
            await runner.cleanup()


async def _engine(request: web.Request) -> web.StreamResponse:
    target = f"http://docker/{request.match_info['path']}"
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _websocket(request, target)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
    body = await request.read()
    async with request.app[ENGINE].request(
        request.method, target, params=request.query, headers=headers, data=body or None
    ) as answer:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):  # the browser has seen enough
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
    return response


async def _websocket(request: web.Request, target: str) -> web.StreamResponse:
    browser = web.WebSocketResponse()
    async with request.app[ENGINE].ws_connect(target, params=request.query) as engine:
        await browser.prepare(request)

        async def inputs() -> None:
            async for message in browser:
                await engine.send_bytes(_bytes(message))

        async def outputs() -> None:
            async for message in engine:
                assert message.type is WSMsgType.BINARY
                await browser.send_bytes(message.data)

        await _either(inputs(), outputs())
    await browser.close()
    return browser


async def _exec(request: web.Request) -> web.StreamResponse:
    browser = web.WebSocketResponse()
    await browser.prepare(request)
    reader, writer = await asyncio.open_unix_connection(str(request.app[SOCKET]))
    body = b'{"Tty": true}'
    writer.write(
        f"POST /exec/{request.query['id']}/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n"
        f"Upgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head

    async def inputs() -> None:
        async for message in browser:
            writer.write(_bytes(message))
            await writer.drain()

    async def outputs() -> None:
        while data := await reader.read(65536):
            await browser.send_bytes(data)

    await _either(inputs(), outputs())
    writer.close()
    await browser.close()
    return browser


def _bytes(message: WSMessage) -> bytes:
    data: str | bytes = message.data
    return data.encode() if isinstance(data, str) else data


async def _either(*ways: Coroutine[Any, Any, None]) -> None:
    """Carry both ways until one of them ends."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
