"""Attaching a client to a container's stdio, also before the container starts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

import errdefs

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_GONE_GRACE = 10.0  # seconds in which a client that has gone still waits for the start: it may be under way
_CONTROL = {f"ctrl-{chr(ord('a') + n)}": n + 1 for n in range(26)}
_CONTROL |= {"ctrl-@": 0, "ctrl-[": 27, "ctrl-\\": 28, "ctrl-]": 29, "ctrl-^": 30, "ctrl-_": 31}


class Detached(Exception):  # noqa: N818 - an event, not a failure
    """The client typed its detach keys."""


class ByteStream(Protocol):
    """Both ways to a process: `runtime.task.Stream`, or what stands for it before the process is there."""

    async def read(self) -> bytes:
        """The next output, b"" at its end."""
        ...

    async def write(self, data: bytes) -> None:
        """Input; waits while the process does not take it."""
        ...

    async def write_eof(self) -> None:
        """No more input."""
        ...

    def leave(self) -> None:
        """The client has gone: output ends, input still goes its way."""
        ...

    def close(self) -> None:
        """Let go; the process goes on."""
        ...


class AttachRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of a container's stdio; `logs` replays what was written before."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = False
    logs: bool = False
    detach_keys: str = ""


def parse_detach_keys(text: str) -> bytes:
    """The bytes of "ctrl-p,ctrl-q"; InvalidArgument for a key that is none."""
    keys = bytearray()
    for key in (text or DEFAULT_DETACH_KEYS).split(","):
        if len(key) == 1 and key.isascii():
            keys += key.encode()
        elif key in _CONTROL:
            keys.append(_CONTROL[key])
        else:
            raise errdefs.InvalidArgument(f"Invalid detach keys ({text}) provided")
    return bytes(keys)


class DetachScanner:
    """Finds the detach keys in what a client types; keys of a beginning that came to nothing are passed on."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the keys are complete (the rest of the data is dropped then)."""
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(out), True
                continue
            out += self._keys[: self._matched]
            self._matched = 1 if byte == self._keys[0] else 0
            if not self._matched:
                out.append(byte)
        return bytes(out), False


class Parked:
    """An attachment to a process that is not there yet.

    Nothing is read from the client until the process is there, so no byte is lost: `write` waits.
    """

    def __init__(self, request: AttachRequest) -> None:
        self.request = request
        self._left = False
        self._stream: asyncio.Future[ByteStream | None] = asyncio.get_running_loop().create_future()

    @property
    def over(self) -> bool:
        """Whether it waits no more: the process is there, or the client has left."""
        return self._stream.done()

    def join(self, stream: ByteStream) -> None:
        """The process is there, about to start."""
        if self._stream.done():
            stream.close()
        else:
            self._stream.set_result(stream)
            if self._left:
                stream.leave()

    async def read(self) -> bytes:
        """As of the process, once it is there; b"" when it never comes."""
        stream = await self._wait()
        return await stream.read() if stream else b""

    async def write(self, data: bytes) -> None:
        """Waits for the process."""
        if stream := await self._wait():
            await stream.write(data)

    async def write_eof(self) -> None:
        """Waits for the process."""
        if stream := await self._wait():
            await stream.write_eof()

    def leave(self) -> None:
        """Its input waits for the process for a little while."""
        if self._stream.done():
            if stream := self._stream.result():
                stream.leave()
        elif not self._left:
            self._left = True
            asyncio.get_running_loop().call_later(_GONE_GRACE, self._give_up)

    def close(self) -> None:
        """The client left, or the process never came."""
        if self._stream.done() and (stream := self._stream.result()):
            stream.close()
        self._give_up()

    def _give_up(self) -> None:
        if not self._stream.done():
            self._stream.set_result(None)

    async def _wait(self) -> ByteStream | None:
        return await asyncio.shield(self._stream)


class Attachment:
    """A client's hold of a container's stdio. `terminal` tells raw bytes from stdcopy frames."""

    def __init__(
        self,
        stream: ByteStream,
        *,
        terminal: bool,
        detach_keys: bytes | None = None,
        leaves_with_input: bool = False,
        replay: AsyncIterator[bytes] | None = None,
    ) -> None:
        self._stream = stream
        self._replay = replay
        self._scanner = DetachScanner(detach_keys) if detach_keys else None
        self._leaves_with_input = leaves_with_input
        self.terminal = terminal

    async def read(self) -> bytes:
        """The next output, b"" at its end; first what is replayed."""
        if self._replay is not None:
            async for chunk in self._replay:
                return chunk
            self._replay = None
        return await self._stream.read()

    async def write(self, data: bytes) -> None:
        """Input; raises Detached on the detach keys."""
        if self._scanner is None:
            await self._stream.write(data)
            return
        data, detached = self._scanner.feed(data)
        if data:
            await self._stream.write(data)
        if detached:
            raise Detached

    async def write_eof(self) -> None:
        """No more input. Raises Detached where others may write on: who has nothing to say leaves, as in Docker."""
        if self._leaves_with_input:
            raise Detached
        await self._stream.write_eof()

    def leave(self) -> None:
        """The client has gone: output ends, input still goes its way."""
        self._replay = None
        self._stream.leave()

    def close(self) -> None:
        """Let go; the container goes on."""
        self._stream.close()


class UntilOver:
    """The stream of an exec, which ends only when the exec is known to be over: clients ask for its code then."""

    def __init__(self, stream: ByteStream, over: asyncio.Event) -> None:
        self._stream = stream
        self._over = over
        self.write = stream.write
        self.write_eof = stream.write_eof
        self.leave = stream.leave
        self.close = stream.close

    async def read(self) -> bytes:
        """As of the exec; its end waits until the exit code is there."""
        data = await self._stream.read()
        if not data:
            await self._over.wait()
        return data


class Silence:
    """The stream of an attachment that only replays: it is at its end."""

    async def read(self) -> bytes:
        """Nothing."""
        return b""

    async def write(self, data: bytes) -> None:
        """Dropped."""

    async def write_eof(self) -> None:
        """Nothing to end."""

    def leave(self) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing to close."""
