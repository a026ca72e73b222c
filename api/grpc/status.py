"""gRPC's codes, failures that carry one, and how both travel in headers. Pure."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from enum import IntEnum
from urllib.parse import quote_from_bytes, unquote_to_bytes

import errdefs
from api.gojson import readable

Headers = Iterable[tuple[str, str]]
Metadata = Mapping[str, list[str]]

DETAILS = "grpc-status-details-bin"
_SHOWN = 4096  # bytes of a message: headers are bounded on the other side, too
_UNQUOTED = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"
_RESERVED = ("grpc-", ":", "content-type", "te", "user-agent")


class Code(IntEnum):
    """Of gRPC's specification."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that failed. `details` is a serialized google.rpc.Status, b"" for none."""

    def __init__(self, code: Code, message: str, details: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """As the call ends with it."""
        found = [("grpc-status", str(int(self.code))), ("grpc-message", _quoted(self.message))]
        return [*found, (DETAILS, encode_binary(self.details))] if self.details else found


_CODES: dict[type[errdefs.WherryError], Code] = {
    errdefs.Forbidden: Code.PERMISSION_DENIED,
    errdefs.Unsupported: Code.UNIMPLEMENTED,
    errdefs.Unavailable: Code.UNAVAILABLE,
}
_CLASSES: dict[Code, type[errdefs.WherryError]] = {
    Code.INVALID_ARGUMENT: errdefs.InvalidArgument,
    Code.NOT_FOUND: errdefs.NotFound,
    Code.ALREADY_EXISTS: errdefs.Conflict,
    Code.PERMISSION_DENIED: errdefs.Forbidden,
    Code.UNAUTHENTICATED: errdefs.Unauthorized,
    Code.UNIMPLEMENTED: errdefs.Unsupported,
    Code.UNAVAILABLE: errdefs.Unavailable,
    Code.CANCELLED: errdefs.Unavailable,
}


def of_failure(error: errdefs.WherryError) -> RpcError:
    """As a client sees a failure of ours; UNKNOWN, whose message clients show alone, is BuildKit's usual."""
    code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), Code.UNKNOWN)
    return RpcError(code, readable(error.message))


def as_failure(error: RpcError) -> errdefs.WherryError:
    """What a call to a client ended with, as one of ours."""
    return _CLASSES.get(error.code, errdefs.SystemFailure)(error.message)


def of_trailers(trailers: Headers) -> RpcError | None:
    """How a call ended, None if well."""
    found = dict(trailers)
    said = found.get("grpc-status", "")
    if said == "0":
        return None
    number = int(said) if said.isdecimal() and len(said) < 4 else -1
    code = Code(number) if number in Code.__members__.values() else Code.UNKNOWN
    message = unquote_to_bytes(found.get("grpc-message", "")).decode(errors="replace")
    return RpcError(
        code, message or f"a call ended without a status ({said})", _binary(found.get(DETAILS, ""))
    )


def metadata_of(headers: Headers) -> dict[str, list[str]]:
    """What a caller added to a call."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if not name.startswith(_RESERVED):
            found.setdefault(name, []).append(value)
    return found


def plain(headers: Headers) -> list[tuple[str, str]]:
    """Those that HTTP/1.1 would have as well."""
    return [(name, value) for name, value in headers if not name.startswith(":")]


def encode_binary(value: bytes) -> str:
    """For a header whose name ends in -bin."""
    return base64.b64encode(value).rstrip(b"=").decode()


def _binary(value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return b""


def _quoted(message: str) -> str:
    return quote_from_bytes(message.encode()[:_SHOWN], safe=_UNQUOTED)
