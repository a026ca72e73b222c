"""Directories to tar streams: each is written by a confined process of its own."""

import fcntl
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errdefs import SystemFailure
from runtime.layers.process import worker
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
    process ends. SystemFailure when the host fails, also in the middle.
    """
    with ExitStack() as opened:
        try:
            source = (
                os.open(".", _FLAGS, dir_fd=directory)
                if isinstance(directory, int)
                else os.open(directory, _FLAGS)
            )
        except OSError as error:
            raise SystemFailure(f"cannot archive {directory}: {error.strerror}") from error
        opened.callback(os.close, source)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _CHUNK)
        sink = opened.enter_context(os.fdopen(writing, "wb", buffering=0))
        archive, transport = receive(reading, _CHUNK)
        opened.callback(transport.close)
        order = _order(whiteouts=whiteouts, leave_out=leave_out, identity=identity)
        async with worker("runtime.layers.packer", order, [source, writing]) as packing:
            sink.close()
            while chunk := await archive.read(_CHUNK):
                yield chunk
            async for message in packing.messages():
                if "packed" in message:
                    return
                raise SystemFailure(message["error"]["message"])
            status = await packing.status()
            raise SystemFailure(
                f"the process that archives a directory ended without a word (status {status})"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What was written. `ambiguous`: whoever unpacks it gets other files than it was made of."""

    digest: str
    size: int
    ambiguous: bool


async def pack_layer(upper: Path, file: int) -> Packed:
    """Write the layer of an overlay's upper directory, which nobody changes, to a file. SystemFailure as `pack`."""
    with ExitStack() as opened:
        try:
            source = os.open(upper, _FLAGS)
        except OSError as error:
            raise SystemFailure(f"cannot archive {upper}: {error.strerror}") from error
        opened.callback(os.close, source)
        order = _order(whiteouts=True, digest=True)
        async with worker("runtime.layers.packer", order, [source, file]) as packing:
            async for message in packing.messages():
                if "packed" in message:
                    return Packed(**message["packed"])
                raise SystemFailure(message["error"]["message"])
            status = await packing.status()
            raise SystemFailure(f"the process that archives a layer ended without a word (status {status})")


def _order(
    *, whiteouts: bool, leave_out: Sequence[str] = (), identity: Identity = HOST, digest: bool = False
) -> dict[str, Any]:
    return {
        "whiteouts": whiteouts,
        "leave_out": list(leave_out),
        "identity": identity.to_lists(),
        "digest": digest,
    }
