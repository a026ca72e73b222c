"""Directories to tar archives: each is written by a confined process of its own."""

import fcntl
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from errdefs import SystemFailure
from runtime.layers.digesting import Packed
from runtime.layers.process import Worker, told, worker
from runtime.pipe import receive
from runtime.spec.identity import HOST, Identity

_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


async def pack(
    directory: Path | int,
    *,
    whiteouts: bool = False,
    leave_out: Sequence[str] = (),
    identity: Identity = HOST,
) -> AsyncGenerator[bytes, None]:
    """Yield a tar archive of what is in `directory`, sorted, without the directory itself.

    The directory, which a descriptor may stand for, may be a mounted root in use: what vanishes is left out,
    what shrinks is filled up with zeros. What is at the paths `leave_out`, absolute from there, is skipped. With
    `whiteouts` it is the upper directory of an overlay, and the archive is the layer: deletions become
    `.wh.` files. The root of a container with an `identity` is archived with the container's own ids. Waits while
    nobody takes the chunks, which have up to a megabyte. Close it early with `aclose`: the
    process ends. Conflict when somebody moves directories deep below meanwhile, SystemFailure when the host fails: also
    in the middle.
    """
    order = {"whiteouts": whiteouts, "leave_out": list(leave_out), "identity": identity.to_lists()}
    with ExitStack() as opened:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _CHUNK)
        sink = opened.enter_context(os.fdopen(writing, "wb", buffering=0))
        archive, transport = receive(reading, _CHUNK)
        opened.callback(transport.close)
        async with _packing(directory, {**order, "file": False}, [writing]) as packing:
            sink.close()
            while chunk := await archive.read(_CHUNK):
                yield chunk
            await _outcome(packing)


async def pack_layer_into(upper: Path, file: int, tell: int, *, leave_out: Sequence[str] = ()) -> Packed:
    """Write what `pack` yields of the upper directory of an overlay to an open file; errors as there.

    Whoever follows the file (runtime.layers.growing) is told of more by `tell`.
    """
    order = {"whiteouts": True, "leave_out": list(leave_out), "identity": HOST.to_lists(), "file": True}
    async with _packing(upper, order, [file, tell]) as packing:
        return Packed(*await _outcome(packing))


@asynccontextmanager
async def _packing(
    directory: Path | int, order: dict[str, Any], passed: Sequence[int]
) -> AsyncIterator[Worker]:
    """A process that packs a directory; `passed` is what it gets beside it."""
    try:
        path, at = (".", directory) if isinstance(directory, int) else (directory, None)
        source = os.open(path, _FLAGS, dir_fd=at)
    except OSError as error:
        raise SystemFailure(f"cannot archive {directory}: {error.strerror}") from error
    try:
        async with worker("runtime.layers.packing", order, [source, *passed]) as packing:
            yield packing
    finally:
        os.close(source)


async def _outcome(packing: Worker) -> Any:
    async for message in packing.messages():
        if "packed" in message:
            return message["packed"]
        raise told(message["error"])
    status = await packing.status()
    raise SystemFailure(f"the process that archives a directory ended without a word (status {status})")
