"""A client's session: what the daemon asks of buildx while it builds, on a connection whose roles are reversed."""

import asyncio
import contextlib
import itertools
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from google.protobuf.message import Message

import errdefs
from api.buildkit.intake import Intake
from api.buildkit.outflow import Outflow
from api.buildkit.protos.common_pb2 import BytesMessage
from api.buildkit.protos.session_pb2 import (
    CheckAgentRequest,
    CheckAgentResponse,
    CredentialsRequest,
    CredentialsResponse,
    GetSecretRequest,
    GetSecretResponse,
    Packet,
)
from api.grpc import client, status
from api.grpc.client import Opener, Outgoing
from api.grpc.status import RpcError
from engine.build.session import Credentials, Meter, Wanted
from runtime.settled import settled

T = TypeVar("T", bound=Message)

_FILE_SYNC: Final = "/moby.filesync.v1.FileSync/DiffCopy"
_FILE_SEND: Final = "/moby.filesync.v1.FileSend/DiffCopy"
_UPLOAD: Final = "/moby.upload.v1.Upload/Pull"
_GET_SECRET: Final = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 - a path
_CHECK_AGENT: Final = "/moby.sshforward.v1.SSH/CheckAgent"
_FORWARD_AGENT: Final = "/moby.sshforward.v1.SSH/ForwardAgent"
_CREDENTIALS: Final = "/moby.filesync.v1.Auth/Credentials"
_EXPORTER: Final = "buildkit-attachable-exporter-id"
_TIMEOUT: Final = 60.0  # seconds for a short answer
_DOCKER_HUB: Final = "registry-1.docker.io"  # by which clients know where Docker's credentials are
_HUB_NAMES: Final = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))
_CHUNK: Final = 1 << 20  # bytes of a file in one message


class ClientSession:
    """`engine.build.session.Session`, served by the client at the other end of `connection`."""

    def __init__(self, connection: Opener) -> None:
        self._connection = connection

    async def receive(self, name: str, into: Path, wanted: Wanted, meter: Meter) -> None:
        """Bring a directory of the client into an empty one."""
        metadata = _encoded(
            {
                "dir-name": [name],
                "include-patterns": wanted.include,
                "exclude-patterns": wanted.exclude,
                "followpaths": wanted.follow,
            }
        )
        intake = await settled(Intake, into)
        try:
            async with self._calling(_FILE_SYNC, Packet, metadata) as call:
                await _take_in(call, intake, meter)
        finally:
            await settled(intake.close)

    async def upload(self, url: str) -> AsyncIterator[bytes]:
        """What the client gives at a URL of its session."""
        parts = urllib.parse.urlsplit(url)
        return self._pull({"urlpath": [parts.path], "urlhost": [parts.netloc]})

    async def secret(self, name: str) -> bytes:
        """NotFound for one that the client does not have."""
        try:
            answer = await self._call(_GET_SECRET, GetSecretRequest(ID=name), GetSecretResponse)
        except errdefs.NotFound:
            raise errdefs.NotFound(f"secret {name}: not found") from None
        return answer.data

    async def agent(self, name: str) -> bool:
        """Whether the client forwards that SSH agent."""
        try:
            await self._call(_CHECK_AGENT, CheckAgentRequest(ID=name or "default"), CheckAgentResponse)
        except errdefs.Unavailable:
            raise
        except errdefs.WherryError:
            return False
        return True

    async def forward_agent(
        self, name: str, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Carry one connection to an agent until either side ends it."""
        metadata = {"buildkit.ssh.id": [name or "default"]}
        async with self._calling(_FORWARD_AGENT, BytesMessage, metadata) as call, asyncio.TaskGroup() as both:
            sending = both.create_task(_send_agent(call, read))
            while (message := await call.receive()) is not None:
                await write(message.data)
            sending.cancel()

    async def credentials(self, host: str) -> Credentials | None:
        """What the client has for a registry."""
        asked = CredentialsRequest(Host=_DOCKER_HUB if host in _HUB_NAMES else host)
        try:
            answer = await self._call(_CREDENTIALS, asked, CredentialsResponse)
        except errdefs.Unsupported:
            return None
        if not answer.Username and not answer.Secret:
            return None
        return Credentials(username=answer.Username, secret=answer.Secret)

    async def send_directory(self, exporter: str, directory: Path, meter: Meter) -> None:
        """Write a directory's tree to where the client wants an exporter's result."""
        outflow = await settled(Outflow, directory)
        try:
            async with self._calling(_FILE_SEND, Packet, {_EXPORTER: [exporter or "0"]}) as call:
                await _send_out(call, outflow, meter)
        finally:
            await settled(outflow.close)

    async def send_file(
        self, exporter: str, chunks: AsyncIterator[bytes], metadata: dict[str, str], meter: Meter
    ) -> None:
        """Write one file there. Conflict where the client has one that it does not write over."""
        added = {f"exporter-md-{key}": [value] for key, value in metadata.items()}
        sent = 0
        async with self._calling(_FILE_SEND, BytesMessage, {**added, _EXPORTER: [exporter or "0"]}) as call:
            async for chunk in chunks:
                for start in range(0, len(chunk), _CHUNK):
                    await call.send(BytesMessage(data=chunk[start : start + _CHUNK]))
                sent += len(chunk)
                await meter(sent)
            call.finish()
            while await call.receive() is not None:
                pass

    async def _pull(self, metadata: Mapping[str, Sequence[str]]) -> AsyncIterator[bytes]:
        async with self._calling(_UPLOAD, BytesMessage, metadata) as call:
            call.finish()
            while (message := await call.receive()) is not None:
                yield message.data

    async def _call(self, path: str, request: Message, kind: type[T]) -> T:
        with _failing():
            async with asyncio.timeout(_TIMEOUT):
                return await client.call(self._connection, path, request, kind)

    @contextlib.asynccontextmanager
    async def _calling(
        self, path: str, kind: type[T], metadata: Mapping[str, Sequence[str]]
    ) -> AsyncIterator[Outgoing[T]]:
        with _failing():
            async with client.calling(self._connection, path, kind, metadata) as call:
                yield call


async def _take_in(call: Outgoing[Packet], intake: Intake, meter: Meter) -> None:
    told = False
    while packets := await call.receive_many():
        for answer in await settled(intake.take, packets):
            await call.send(answer)
        await meter(intake.received)
        if intake.complete and not told:
            told = True
            await call.send(Packet(type=Packet.PACKET_FIN))
            call.finish()
    if not told:
        raise errdefs.Unavailable("the client ended a transfer before its end")


async def _send_out(call: Outgoing[Packet], outflow: Outflow, meter: Meter) -> None:
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
    while packets := await settled(lambda: list(itertools.islice(content, 16))):
        async with sending:
            for packet in packets:
                await call.send(packet)
                sent += len(packet.data)
        await meter(sent)
    return sent


async def _send_agent(call: Outgoing[BytesMessage], read: Callable[[], Awaitable[bytes]]) -> None:
    with contextlib.suppress(OSError):  # who asks has gone: its answers may still be under way
        while data := await read():
            await call.send(BytesMessage(data=data))
    call.finish()


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """What a call ends with, as one of our failures."""
    try:
        yield
    except RpcError as error:
        raise status.as_failure(error) from error
    except TimeoutError:
        raise errdefs.Unavailable(f"the client did not answer in {_TIMEOUT:.0f} seconds") from None
    except BaseExceptionGroup as group:  # both directions at once: the first failure tells why
        error = group.exceptions[0]
        raise (status.as_failure(error) if isinstance(error, RpcError) else error) from group


def _encoded(metadata: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """As headers can carry it: lists with a value that is more than printable ASCII are quoted, and say so."""
    found: dict[str, Sequence[str]] = {}
    for key, values in metadata.items():
        plain = all(value.isascii() and value.isprintable() for value in values)
        found[key] = values if plain else [urllib.parse.quote_plus(value) for value in values]
        if not plain:
            found[f"{key}-encoded"] = ["1"]
    return found
