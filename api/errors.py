"""The one table from classes of failure to HTTP statuses, and the error body of Docker."""

import logging
from http import HTTPStatus
from typing import Any

import msgspec

import errdefs
from api import web
from api.gojson import readable

_log = logging.getLogger(__name__)

STATUS: dict[type[errdefs.WherryError], int] = {
    errdefs.InvalidArgument: 400,
    errdefs.Unauthorized: 401,
    errdefs.Forbidden: 403,
    errdefs.NotFound: 404,
    errdefs.Conflict: 409,
    errdefs.NotModified: 304,
    errdefs.TooManyRequests: 429,
    errdefs.Unsupported: 501,
    errdefs.Unavailable: 503,
    errdefs.SystemFailure: 500,
}

UNEXPECTED = "internal error of the daemon; its log has the details"
PAGE_NOT_FOUND = "page not found"


def describe(error: Exception, where: str) -> tuple[int, str]:
    """Status and message of a failure. What nobody foresaw is logged and answered without detail."""
    if isinstance(error, errdefs.WherryError):
        status = status_of(error)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
            _log.error("%s: %s", where, error.message)
        return status, readable(error.message)
    _log.error("%s failed unexpectedly", where, exc_info=error)
    return 500, UNEXPECTED


def status_of(error: errdefs.WherryError) -> int:
    """The status of a failure's class, or of the nearest class above it."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def body(message: str) -> bytes:
    """The body of an error, `{"message": …}` and a line end."""
    return encode({"message": readable(message)})


def response(status: int, message: str) -> web.Response:
    """An error's answer; 304 has no body, as HTTP wants it."""
    if status == HTTPStatus.NOT_MODIFIED:
        return web.Response(status=status)
    return web.Response(status=status, body=body(message), headers={"Content-Type": "application/json"})


def encode(value: Any) -> bytes:
    """JSON with the line end that Go's encoder writes."""
    return msgspec.json.encode(value) + b"\n"
