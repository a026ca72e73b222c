"""Files and contexts from URLs."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from io import FileIO
from pathlib import Path
from urllib.parse import unquote

import errdefs
from engine.build.steps import UrlSource
from engine.registry.client import Registry
from engine.registry.download import Source
from runtime.copying.workers import Workers
from runtime.layers.decompress import detect
from runtime.layers.header import BLOCK, Header

_UNNAMED = "__unnamed__"
_MODE = 0o600  # as BuildKit makes them
_MAX_DOCKERFILE = 8 << 20
_CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")


def file_name(url: str) -> str:
    """What a file from a URL is called."""
    path = unquote(Source(url).url.raw_path)
    name = os.path.basename(path.rstrip("/")).strip()
    if name in ("", ".", "..") or not name.isprintable():
        return _UNNAMED
    return name


async def fetch_file(registry: Registry, source: UrlSource, directory: Path) -> None:
    """Fetch a file into an empty directory: mode 0600, its time that of the server, else 1970.

    InvalidArgument where it is not what `checksum` says, SystemFailure where the disk has no room for it; else the
    errors of `Registry.download`.
    """
    if source.checksum and not _CHECKSUM.fullmatch(source.checksum):
        raise errdefs.InvalidArgument(f"invalid checksum digest format: {source.checksum}")
    algorithm = source.checksum.partition(":")[0] or "sha256"
    digest = hashlib.new(algorithm)
    wanted = Source(source.url)
    path = directory / file_name(source.url)
    file = await asyncio.to_thread(_create, path)
    try:
        async with registry.download(wanted, brief=True) as download:
            await asyncio.to_thread(_require_room, directory, download.length or 0, wanted.text)
            async for chunk in download.chunks():
                await asyncio.to_thread(_take, file, digest.update, chunk)
            changed = _time_of(download.header("Last-Modified"))
    finally:
        await asyncio.to_thread(file.close)
    found = f"{algorithm}:{digest.hexdigest()}"
    if source.checksum and found != source.checksum:
        raise errdefs.InvalidArgument(
            f"digest mismatch for {wanted.text}: {found} (expected: {source.checksum})"
        )
    await asyncio.to_thread(os.utime, path, ns=(changed, changed))


def _create(path: Path) -> FileIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    return FileIO(descriptor, "wb")  # chunks are large, and what fails fails at once


def _take(file: FileIO, count: Callable[[bytes], object], chunk: bytes) -> None:
    count(chunk)
    try:
        while chunk:
            chunk = chunk[file.write(chunk) :]
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
