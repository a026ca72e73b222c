"""SSH agents of a step's client: a socket in the step, of which each connection is carried over the session."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import errdefs
from engine.build.run.client import Client
from engine.build.steps import RunMount
from runtime.settled import settled, whole
from runtime.spec.identity import Identity

_SOCKET_MODE = 0o600
_CHUNK = 1 << 16
_AT_ONCE = 64  # connections; others wait to be accepted
_DEFAULT = "default"


async def has_agent(asked: RunMount, session: Client | None) -> bool:
    """Whether the client forwards the agent. NotFound if it does not and the step requires it."""
    name = asked.id or _DEFAULT
    there = session is not None and await session.agent(name)
    if not there and asked.required:
        text = (
            f'no SSH key "{name}" forwarded from the client'
            if session is None
            else f"unset ssh forward key {name}"
        )
        raise errdefs.NotFound(text)
    return there


@asynccontextmanager
async def listening(path: Path, asked: RunMount, session: Client, identity: Identity) -> AsyncIterator[None]:
    """A socket at `path` on which the agent answers, until the end of the block."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await settled(_bind, listener, path, asked, identity)
        forwarder = _Forwarder(session, asked.id or _DEFAULT)
        accepting = asyncio.get_running_loop().create_task(forwarder.accept(listener))
        try:
            yield
        finally:
            await whole(_end(accepting))
    finally:
        listener.close()
        await settled(path.unlink, missing_ok=True)


async def _end(accepting: asyncio.Task[None]) -> None:
    accepting.cancel()
    await asyncio.wait([accepting])


def _bind(listener: socket.socket, path: Path, asked: RunMount, identity: Identity) -> None:
    """By way of a descriptor, since a socket's path may have 107 bytes at most."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.chown(path, identity.uid_outside(asked.uid), identity.gid_outside(asked.gid))
        os.chmod(path, _SOCKET_MODE if asked.mode is None else asked.mode & 0o777)
        listener.listen()
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot make a socket for an SSH agent: {error.strerror}") from error
    finally:
        os.close(directory)


class _Forwarder:
    def __init__(self, session: Client, name: str) -> None:
        self._session = session
        self._name = name
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def accept(self, listener: socket.socket) -> None:
        """Until it is cancelled: then all connections end."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as connections:
            while True:
                await self._slots.acquire()
                connection, _ = await loop.sock_accept(listener)
                connections.create_task(self._carry(connection))

    async def _carry(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        async def read() -> bytes:
            try:
                return await loop.sock_recv(connection, _CHUNK)
            except OSError:
                return b""

        async def write(data: bytes) -> None:
            await loop.sock_sendall(connection, data)

        try:
            await self._session.forward_agent(self._name, read, write)
        except (errdefs.WherryError, OSError):
            pass  # the client or the step's process has gone: the other end sees it
        finally:
            connection.close()
            self._slots.release()
