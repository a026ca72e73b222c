"""libnftables in this process: no `nft` is executed (0.13 ms a change instead of 5-15)."""

from __future__ import annotations

import ctypes
import json
from typing import Any, Final

import errdefs

_OUTPUT_JSON: Final = 1 << 4


class NftError(OSError):
    """nftables refused a transaction; nothing of it was done. The text is nft's own."""


class Nft:
    """A libnftables context of the network namespace of the thread that makes it; for use by that thread alone."""

    def __init__(self) -> None:
        self._lib = _library()
        self._context = self._lib.nft_ctx_new(0)
        if not self._context:
            raise errdefs.SystemFailure("libnftables: cannot make a context")
        self._lib.nft_ctx_buffer_output(self._context)
        self._lib.nft_ctx_buffer_error(self._context)

    def close(self) -> None:
        """Free the context. Slow (it waits for the kernel's RCU): never on the event loop."""
        if self._context:
            self._lib.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> str:
        """Run commands in one transaction and return nft's output. Raises NftError."""
        failed = self._lib.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._lib.nft_ctx_get_output_buffer(self._context) or b""
        text: bytes = self._lib.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise NftError(ctypes.get_errno(), text.decode(errors="replace").strip()[:2000])
        return output.decode(errors="replace")

    def query(self, command: str) -> list[dict[str, Any]]:
        """The objects that a `list` command shows, as nft's JSON. Raises NftError."""
        self._lib.nft_ctx_output_set_flags(self._context, _OUTPUT_JSON)
        try:
            document: dict[str, Any] = json.loads(self.run(command))
        finally:
            self._lib.nft_ctx_output_set_flags(self._context, 0)
        objects: list[dict[str, Any]] = document["nftables"]
        return objects


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
