"""Files and contexts from URLs."""

import asyncio
import hashlib
import os
import re
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from io import FileIO
from pathlib import Path
from urllib.parse import unquote

import msgspec

import errdefs
from engine.registry.client import Registry
from engine.registry.download import Download, Source
from runtime.copying.workers import Workers
from runtime.layers.decompress import detect
from runtime.layers.header import BLOCK, Header
from runtime.settled import settled
from runtime.unsettled import sync_directory

_UNNAMED = "__unnamed__"
_MODE = 0o600  # as BuildKit makes them
_MAX_DOCKERFILE = 8 << 20
_PAUSE = 0.1  # seconds between two words about how it goes
_CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")

Tell = Callable[[int, int], Awaitable[None]]
"""Takes how many bytes have come, and of how many, 0 where nobody says."""


def file_name(url: str) -> str:
    """What a file from a URL is called."""
    path = unquote(Source(url).url.raw_path)
    name = os.path.basename(path.rstrip("/")).strip()
    if name in ("", ".", "..") or not name.isprintable():
        return _UNNAMED
    return name


class Received(msgspec.Struct, frozen=True):
    """A file that came whole: its SHA-256, its bytes, and its time in Unix nanoseconds."""

    digest: str
    size: int
    modified: int


async def receive(download: Download, url: str, path: Path, tell: Tell) -> Received:
    """Write a file: mode 0600, its time that of the server, else 1970; durable when it is there.

    SystemFailure where the disk has no room for it, Transient when it breaks off.
    """
    await asyncio.to_thread(_require_room, path.parent, download.length or 0, url)
    digest, size, told = hashlib.sha256(), 0, 0.0
    file = await asyncio.to_thread(_create, path)
    try:
        async for chunk in download.chunks():
            await asyncio.to_thread(_take, file, digest.update, chunk)
            size += len(chunk)
            if time.monotonic() - told >= _PAUSE:
                await tell(size, download.length or 0)
                told = time.monotonic()
        await tell(size, download.length or 0)
        modified = _time_of(download.header("Last-Modified"))
        await settled(_finish, file, path, modified)
    finally:
        await asyncio.to_thread(file.close)
    return Received(f"sha256:{digest.hexdigest()}", size, modified)


def require_checksum(checksum: str) -> None:
    """Pass if it is none, or one that can be told. InvalidArgument otherwise."""
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise errdefs.InvalidArgument(f"invalid checksum digest format: {checksum}")


def digest_of(path: Path, algorithm: str) -> str:
    """What a file is, by that algorithm. Blocks; OSError when it cannot be read."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _create(path: Path) -> FileIO:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise errdefs.SystemFailure(f"open {path.name}: {error.strerror}") from error
    return FileIO(descriptor, "wb")  # chunks are large, and what fails fails at once


def _take(file: FileIO, count: Callable[[bytes], object], chunk: bytes) -> None:
    count(chunk)
    try:
        while chunk:
            chunk = chunk[file.write(chunk) :]
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot write what is fetched to the disk: {error.strerror}") from error


def _finish(file: FileIO, path: Path, modified: int) -> None:
    try:
        os.utime(file.fileno(), ns=(modified, modified))
        os.fsync(file.fileno())
        for directory in (path.parent, path.parent.parent):
            sync_directory(directory)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot write what is fetched to the disk: {error.strerror}") from error


def _require_room(directory: Path, size: int, url: str) -> None:
    """Pass if that many bytes fit: rather than after hours it is told at once."""
    free = shutil.disk_usage(directory).free
    if size > free:
        raise errdefs.SystemFailure(f"{url} has {size} bytes, and the disk has room for {free}")


def _time_of(header: str) -> int:
    """A date of HTTP in Unix nanoseconds, 0 for none."""
    try:
        return int(parsedate_to_datetime(header).timestamp()) * 10**9
    except (ValueError, TypeError, OverflowError):
        return 0


async def fetch_context(registry: Registry, url: str, workers: Workers, directory: Path) -> bytes | None:
    """Unpack an archive from a URL into an empty directory; what is no archive is a Dockerfile, and returned."""
    async with registry.download(Source(url)) as download, aclosing(_from_head(download.chunks())) as chunks:
        head = await anext(chunks)
        if _is_archive(head):
            await workers.unpack(_again(head, chunks), directory, (0, 0))
            return None
        content = bytearray(head)
        async for chunk in chunks:
            content += chunk
            if len(content) > _MAX_DOCKERFILE:
                raise errdefs.InvalidArgument(f"the Dockerfile has more than {_MAX_DOCKERFILE} bytes")
        return bytes(content)


async def _from_head(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same bytes, the first block of an archive in one piece."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= BLOCK:
            break
    yield head
    async for chunk in chunks:
        yield chunk


async def _again(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


def _is_archive(head: bytes) -> bool:
    if detect(head):
        return True
    if len(head) < BLOCK:
        return False
    try:
        Header(head[:BLOCK])
    except errdefs.InvalidArgument:
        return False
    return True
