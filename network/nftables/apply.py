"""libnftables in this process: no `nft` is executed (a whole ruleset in 3 ms instead of 5-15 more)."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import errdefs
from network.netns import in_a_thread
from network.nftables.transaction import NftError

T = TypeVar("T")

_OUTPUT_JSON: Final = 1 << 4
_CLONE_FILES: Final = 0x400
_FIRST_FD: Final = 3
_EVERY_FD: Final = 0x7FFFFFFF
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Nft:
    """libnftables in the network namespace of the thread that calls.

    The library waits by select(), which ends the process once its socket's number is 1024 or more: a daemon has
    thousands. So each call is made by a thread of its own that has no other descriptors.
    A context remembers the whole ruleset of the host (53 MB beside a hundred tables like ours), and reads it anew once
    anything was changed. So each call has its own, and what it took is given back.
    """

    def __init__(self) -> None:
        """Raises SystemFailure where the library is missing."""
        self._lib = _library()
        self.speaker = 0
        """Of the last run: by which the kernel's notifications tell who made a change."""
        self._trim: Callable[[int], object] = getattr(self._lib, "malloc_trim", lambda _: 0)  # glibc's

    def run(self, commands: str) -> str:
        """Run commands in one transaction and return nft's output. Raises NftError, with nft's own text."""
        return self._run(commands, 0)

    def query(self, command: str) -> list[dict[str, Any]]:
        """The objects that a `list` command shows, as nft's JSON. Raises NftError."""
        objects: list[dict[str, Any]] = json.loads(self._run(command, _OUTPUT_JSON))["nftables"]
        return objects

    def _run(self, commands: str, flags: int) -> str:
        return in_own_files(lambda: self._run_here(commands, flags))

    def _run_here(self, commands: str, flags: int) -> str:
        with self._context(flags) as context:
            failed = self._lib.nft_run_cmd_from_buffer(context, commands.encode())
            self.speaker = _speaker()
            output: bytes = self._lib.nft_ctx_get_output_buffer(context) or b""
            text: bytes = self._lib.nft_ctx_get_error_buffer(context) or b""
            if failed:
                raise NftError(ctypes.get_errno(), text.decode(errors="replace").strip()[:2000])
            return output.decode(errors="replace")

    @contextmanager
    def _context(self, flags: int) -> Iterator[int]:
        context = self._lib.nft_ctx_new(0)
        if not context:
            raise errdefs.SystemFailure("libnftables: cannot make a context")
        try:
            self._lib.nft_ctx_buffer_output(context)
            self._lib.nft_ctx_buffer_error(context)
            self._lib.nft_ctx_output_set_flags(context, flags)
            yield context
        finally:
            self._lib.nft_ctx_free(context)
            self._trim(0)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1", use_errno=True)
    except OSError as error:
        raise errdefs.SystemFailure(
            f"libnftables.so.1 is missing (install the package libnftables1): {error}"
        ) from error
    context, text = ctypes.c_void_p, ctypes.c_char_p
    library.nft_ctx_new.argtypes, library.nft_ctx_new.restype = [ctypes.c_uint32], context
    library.nft_ctx_free.argtypes, library.nft_ctx_free.restype = [context], None
    library.nft_ctx_buffer_output.argtypes = library.nft_ctx_buffer_error.argtypes = [context]
    library.nft_ctx_get_output_buffer.argtypes, library.nft_ctx_get_output_buffer.restype = [context], text
    library.nft_ctx_get_error_buffer.argtypes, library.nft_ctx_get_error_buffer.restype = [context], text
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [context, text]
    return library


def _speaker() -> int:
    """The netlink address of the library's socket, which is the one file of its thread beside the standard ones."""
    with socket.socket(fileno=os.dup(_FIRST_FD)) as spoken:
        address: int = spoken.getsockname()[0]
        return address


def in_own_files(work: Callable[[], T]) -> T:
    """What `work` returns in a thread with a table of file descriptors that holds the standard ones alone. Blocks.

    Nothing of the process is closed: its descriptors stay in its own table. The garbage collector rests meanwhile: it
    would close descriptors of what it finds in the wrong table.
    """

    def enter() -> T:
        if _libc.unshare(_CLONE_FILES) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot unshare descriptors: {os.strerror(code)}")
        os.closerange(_FIRST_FD, _EVERY_FD)
        return work()

    collecting = gc.isenabled()
    gc.disable()
    try:
        return in_a_thread(enter)
    finally:
        if collecting:
            gc.enable()
