"""What goes over the calls of a session, message by message: trees of files, blobs, an agent's bytes."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

import errdefs
from api.buildkit.intake import Intake
from api.buildkit.outflow import Outflow
from api.buildkit.protos.common_pb2 import BytesMessage
from api.buildkit.protos.session_pb2 import COMMIT, WRITE, Packet, WriteContentRequest, WriteContentResponse
from api.grpc.client import Outgoing
from engine.build.session import Meter
from runtime.settled import settled

CHUNK: Final = 1 << 20  # bytes of a file in one message
_PACE: Final = 0.1  # seconds between two words of how much has come
_AT_ONCE: Final = 16  # packets of a file that are read at once


async def take_in(call: Outgoing[Packet], intake: Intake, meter: Meter) -> None:
    """Answer what the client sends of a tree, until all of it is here. Unavailable when it breaks off."""
    told, said = False, 0.0
    while packets := await call.receive_many():
        if answers := await settled(intake.take, packets):
            await call.send_many(answers)
        if intake.complete or time.monotonic() - said > _PACE:
            said = time.monotonic()
            await meter(intake.received)
        if intake.complete and not told:
            told = True
            await call.send(Packet(type=Packet.PACKET_FIN))
            call.finish()
    if not told:
        raise errdefs.Unavailable("the client ended a transfer before its end")


async def send_out(call: Outgoing[Packet], outflow: Outflow, meter: Meter) -> None:
    """Tell all entries, while what is asked for is sent."""
    sending = asyncio.Lock()
    async with asyncio.TaskGroup() as both:
        both.create_task(_send_entries(call, outflow, sending))
        sent = 0
        while (packet := await call.receive()) is not None:
            if packet.type == Packet.PACKET_ERR:
                raise errdefs.InvalidArgument(f"error from receiver: {packet.data.decode(errors='replace')}")
            if packet.type == Packet.PACKET_FIN:
                await call.send(Packet(type=Packet.PACKET_FIN))
                call.finish()
            if packet.type == Packet.PACKET_REQ:
                sent = await _send_content(call, outflow.content(packet.ID), sending, sent, meter)


async def _send_entries(call: Outgoing[Packet], outflow: Outflow, sending: asyncio.Lock) -> None:
    while entries := await settled(outflow.entries):
        async with sending:
            for entry in entries:
                await call.send(entry)


async def _send_content(
    call: Outgoing[Packet], content: Iterator[Packet], sending: asyncio.Lock, sent: int, meter: Meter
) -> int:
    while packets := await settled(lambda: list(itertools.islice(content, _AT_ONCE))):
        async with sending:
            for packet in packets:
                await call.send(packet)
                sent += len(packet.data)
        await meter(sent)
    return sent


async def write_content(
    call: Outgoing[WriteContentResponse], digest: str, size: int, chunks: AsyncIterator[bytes]
) -> None:
    """By containerd's service: pieces at their offsets, each acknowledged, and a commit of the whole."""
    written = WriteContentRequest(action=WRITE, ref=f"wherry-{digest}", total=size, expected=digest)
    async for chunk in chunks:
        for start in range(0, len(chunk), CHUNK):
            written.data = chunk[start : start + CHUNK]
            await call.send(written)
            await call.receive()
            written.offset += len(written.data)
    written.action, written.data = COMMIT, b""
    await call.send(written)
    await call.receive()
    call.finish()
    while await call.receive() is not None:
        pass


async def send_agent(call: Outgoing[BytesMessage], read: Callable[[], Awaitable[bytes]]) -> None:
    """What somebody asks of an agent, until they have asked all."""
    with contextlib.suppress(OSError):  # who asks has gone: its answers may still be under way
        while data := await read():
            await call.send(BytesMessage(data=data))
    call.finish()
