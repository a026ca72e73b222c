"""Directories to tar streams: each is written by a confined process of its own."""

import fcntl
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from pathlib import Path

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
        order = {"whiteouts": whiteouts, "leave_out": list(leave_out), "identity": identity.to_lists()}
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
