"""How a build's failure is told: with the place in the Dockerfile, from which clients print the lines."""

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage

import errdefs
from api.buildkit.protos.common_pb2 import Status
from api.grpc import status
from api.grpc.status import Code, RpcError
from engine.build.results import BuildError
from engine.build.source import DockerfileError, Position, SourceFile

_SOURCE: Final = "github.com/moby/buildkit/errdefs.Source+json"
_MAX_DETAILS: Final = 24 * 1024  # bytes: they travel in a header


def of_build(error: errdefs.WherryError) -> RpcError:
    """A failure as clients know them."""
    failure = status.of_failure(error)
    if not isinstance(error, BuildError | DockerfileError) or error.source is None or not error.positions:
        return failure
    details = _details(failure.code, failure.message, error.source, error.positions)
    return RpcError(failure.code, failure.message, details)


def passed_on(said: Status) -> RpcError:
    """What a client says that its build failed with, details and all."""
    code = Code(said.code) if said.code in Code.__members__.values() and said.code else Code.UNKNOWN
    return RpcError(code, said.message, said.SerializeToString() if said.details else b"")


def _details(code: Code, message: str, source: SourceFile, positions: Sequence[Position]) -> bytes:
    shown: dict[str, Any] = {
        "info": {
            "filename": source.name,
            "data": base64.b64encode(_around(source.content, positions)).decode(),
            "language": "Dockerfile",
        },
        "ranges": [{"start": {"line": at.first}, "end": {"line": at.last}} for at in positions],
    }
    detail = AnyMessage(type_url=_SOURCE, value=json.dumps(shown).encode())
    return Status(code=code, message=message, details=[detail]).SerializeToString()


def _around(content: bytes, positions: Sequence[Position]) -> bytes:
    """A file that fits a header: lines far from what is shown are left empty, so that the numbers stay.

    Nothing of one that does not fit even so.
    """
    if len(content) <= _MAX_DETAILS:
        return content
    first, last = min(at.first for at in positions) - 8, max(at.last for at in positions) + 8
    lines = content.split(b"\n")
    kept = [line[:200] if first <= number <= last else b"" for number, line in enumerate(lines[:last], 1)]
    around = b"\n".join(kept)
    return around if len(around) <= _MAX_DETAILS else b""
