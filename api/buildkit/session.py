"""A client's session: what the daemon asks of buildx while it builds, on a connection whose roles are reversed."""

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from google.protobuf.message import Message

import errdefs
from api.buildkit import transfers
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
    ReadContentRequest,
    ReadContentResponse,
    WriteContentResponse,
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
_READ: Final = "/containerd.services.content.v1.Content/Read"
_WRITE: Final = "/containerd.services.content.v1.Content/Write"
_STORE: Final = "buildkit-attachable-store-id"
_EXPORTER: Final = "buildkit-attachable-exporter-id"
_TIMEOUT: Final = 60.0  # seconds for a short answer
_DOCKER_HUB: Final = "registry-1.docker.io"  # by which clients know where Docker's credentials are
_HUB_NAMES: Final = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))


class ClientSession:
    """`engine.build.session.Session`, served by the client at the other end of `connection`."""

    def __init__(self, connection: Opener, shared_key: str = "") -> None:
        """`shared_key` is what the client told as it joined."""
        self._connection = connection
        self.shared_key = shared_key

    async def receive(self, name: str, into: Path, wanted: Wanted, meter: Meter) -> bool:
        """Make a directory what one of the client is; whether it is other than before."""
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
                await transfers.take_in(call, intake, meter)
        finally:
            await settled(intake.close)
        return intake.changed

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
            sending = both.create_task(transfers.send_agent(call, read))
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
                await transfers.send_out(call, outflow, meter)
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
                for start in range(0, len(chunk), transfers.CHUNK):
                    await call.send(BytesMessage(data=chunk[start : start + transfers.CHUNK]))
                sent += len(chunk)
                await meter(sent)
            call.finish()
            while await call.receive() is not None:
                pass

    async def read_content(self, store: str, digest: str) -> AsyncIterator[bytes]:
        """A blob of a content store of the client."""
        return self._content(store, digest)

    async def write_content(self, store: str, digest: str, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Have a blob in such a store; one that is there already is left."""
        with contextlib.suppress(errdefs.Conflict):
            async with self._calling(_WRITE, WriteContentResponse, {_STORE: [store]}) as call:
                await transfers.write_content(call, digest, size, chunks)

    async def _content(self, store: str, digest: str) -> AsyncIterator[bytes]:
        async with self._calling(_READ, ReadContentResponse, {_STORE: [store]}) as call:
            await call.send(ReadContentRequest(digest=digest))
            call.finish()
            while (message := await call.receive()) is not None:
                yield message.data

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
        first = group.exceptions[0]
        raise (status.as_failure(first) if isinstance(first, RpcError) else first) from group


def _encoded(metadata: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """As headers can carry it: lists with a value that is more than printable ASCII are quoted, and say so."""
    found: dict[str, Sequence[str]] = {}
    for key, values in metadata.items():
        plain = all(value.isascii() and value.isprintable() for value in values)
        found[key] = (
            values
            if plain
            else [urllib.parse.quote_plus(value, errors="surrogateescape") for value in values]
        )
        if not plain:
            found[f"{key}-encoded"] = ["1"]
    return found
