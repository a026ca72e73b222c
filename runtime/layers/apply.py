"""Layers to directories: each is unpacked by a confined process of its own."""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import msgspec

from errdefs import InvalidArgument, SystemFailure
from runtime.layers.growing import Growing
from runtime.layers.limits import DEFAULT, Limits
from runtime.layers.process import Worker, told, worker


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What was unpacked: digest of the uncompressed archive, bytes of its files, and how it was compressed.

    `compression` is "gzip", "zstd", "bzip2", "xz" or "". `size` is what Docker calls an image layer's size.
    `describes_root`: the archive says what its root directory is like. The diff ID is "" for one that was growing: who
    wrote it knows it.
    """

    diff_id: str
    size: int
    compression: str
    describes_root: bool


async def apply(
    blob: Path | Growing,
    target: Path,
    *,
    expected_diff_id: str | None = None,
    limits: Limits = DEFAULT,
    whiteouts: Literal["overlay", "remove"] = "overlay",
    progress: Callable[[int], None] | None = None,
) -> Applied:
    """Unpack a layer archive into an existing directory that nobody else changes meanwhile.

    The archive may be one that is `Growing`; it stays the caller's. `whiteouts` is the snapshotter's; "overlay"
    wants a directory that holds nothing else. `progress` gets the bytes of the blob read so far, about ten times a
    second. InvalidArgument for an archive that is broken, hostile, beyond `limits` or not what was expected;
    SystemFailure for the host's faults. On failure, and when cancelled, no process is left, and `target` holds
    whatever was unpacked until then: remove it.
    """
    growing = isinstance(blob, Growing)
    order = {"limits": list(limits), "whiteouts": whiteouts, "growing": growing}
    with ExitStack() as opened:
        try:
            directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, directory)
            if isinstance(blob, Growing):
                passed = [blob.archive, directory, blob.more]
            else:
                passed = [os.open(blob, os.O_RDONLY | os.O_CLOEXEC), directory]
                opened.callback(os.close, passed[0])
        except OSError as error:
            raise SystemFailure(f"cannot unpack {blob} into {target}: {error.strerror}") from error
        try:
            async with (
                asyncio.timeout(limits.seconds),
                worker("runtime.layers.worker", order, passed) as unpacking,
            ):
                applied = await _outcome(unpacking, progress)
        except TimeoutError:
            raise InvalidArgument(f"the archive takes more than {limits.seconds} seconds to unpack") from None
    if expected_diff_id is not None and applied.diff_id != expected_diff_id:
        raise InvalidArgument(f"layer has diff ID {applied.diff_id}, expected {expected_diff_id}")
    return applied


async def _outcome(unpacking: Worker, progress: Callable[[int], None] | None) -> Applied:
    async for message in unpacking.messages():
        if "read" in message:
            if progress:
                progress(message["read"])
        elif "applied" in message:
            return Applied(**message["applied"])
        else:
            raise told(message["error"])
    status = await unpacking.status()
    raise SystemFailure(f"the process that unpacks a layer ended without a word (status {status})")
