"""A connection within a call: what it carries goes as messages of bytes, both ways."""

import asyncio
from typing import Final

from api.buildkit.protos.common_pb2 import BytesMessage
from api.grpc.server import Call

_HIGH: Final = 64 * 1024  # bytes that wait to be sent before the protocol is told to wait


class Tunnel(asyncio.Transport):
    """The transport of a protocol, at the serving end of a call whose messages are `BytesMessage`s."""

    def __init__(self, call: Call, protocol: asyncio.Protocol | None = None) -> None:
        super().__init__()
        self._call = call
        self._protocol = protocol
        self._waiting = bytearray()
        self._closing = False
        self._changed = asyncio.Event()

    async def run(self, protocol: asyncio.Protocol) -> None:
        """Carry until either side ends it; then the protocol has lost its connection."""
        self._protocol = protocol
        try:
            async with asyncio.TaskGroup() as both:
                receiving = both.create_task(self._receive(protocol))
                await self._send(protocol)
                receiving.cancel()
        finally:
            self._closing = True
            protocol.connection_lost(None)

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Send, as soon as the peer takes it."""
        self._waiting += data
        if len(self._waiting) > _HIGH and self._protocol is not None:
            self._protocol.pause_writing()
        self._changed.set()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait."""
        return len(self._waiting)

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def close(self) -> None:
        """End it, behind what was written."""
        self._closing = True
        self._changed.set()

    def abort(self) -> None:
        """End it at once."""
        self._waiting.clear()
        self.close()

    async def _receive(self, protocol: asyncio.Protocol) -> None:
        while (message := await self._call.messages.receive()) is not None:
            protocol.data_received(message.data)
        self.close()

    async def _send(self, protocol: asyncio.Protocol) -> None:
        while self._waiting or not self._closing:
            self._changed.clear()
            if not self._waiting:
                await self._changed.wait()
                continue
            data = bytes(self._waiting)
            self._waiting.clear()
            await self._call.send(BytesMessage(data=data))
            protocol.resume_writing()
