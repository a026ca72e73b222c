"""What registries answer when they refuse, and the failures that it stands for, in Docker's words.

A `Refusal` is what a registry said; it becomes a failure of `errdefs` in one of three voices: that of a pull
(`of_pull`), which speaks of the image, that of a push (`of_push`), and that of a plain look (`plain`).
"""

import email.utils
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

import errdefs
from engine.images.reference import Reference
from engine.registry.challenge import Challenge

MAX_BODY = 64 << 10
LONGEST_WAIT = 60.0  # seconds that a registry may ask to wait and still be waited for
_MAX_SHOWN = 1024
_MAX_PROBLEMS = 16

_DEFAULTS = {
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "UNAVAILABLE": "service unavailable",
    "TOOMANYREQUESTS": "too many requests",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "SIZE_INVALID": "provided length did not match content length",
    "NAME_INVALID": "invalid repository name",
    "TAG_INVALID": "manifest tag did not match URI",
    "NAME_UNKNOWN": "repository name not known to registry",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNVERIFIED": "manifest failed signature verification",
    "MANIFEST_BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
}
_BY_STATUS = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}
_BY_OAUTH = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}
_CLASSES: dict[str, type[errdefs.WherryError]] = {
    "UNAUTHORIZED": errdefs.Unauthorized,
    "DENIED": errdefs.Forbidden,
    "NAME_UNKNOWN": errdefs.NotFound,
    "MANIFEST_UNKNOWN": errdefs.NotFound,
    "BLOB_UNKNOWN": errdefs.NotFound,
    "BLOB_UPLOAD_UNKNOWN": errdefs.NotFound,
    "MANIFEST_BLOB_UNKNOWN": errdefs.NotFound,
    "UNAVAILABLE": errdefs.Unavailable,
    "TOOMANYREQUESTS": errdefs.TooManyRequests,
    "DIGEST_INVALID": errdefs.InvalidArgument,
    "SIZE_INVALID": errdefs.InvalidArgument,
    "NAME_INVALID": errdefs.InvalidArgument,
    "TAG_INVALID": errdefs.InvalidArgument,
    "MANIFEST_INVALID": errdefs.InvalidArgument,
    "MANIFEST_UNVERIFIED": errdefs.InvalidArgument,
}


class Transient(errdefs.SystemFailure):
    """A failure that may pass: try again, `retry_after` seconds from now if the registry said when."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PutOff(errdefs.SystemFailure):
    """The registry says when it may be asked again, and that is later than anybody waits for."""


class Throttled(errdefs.TooManyRequests, Transient):
    """The registry has had enough of us for the moment."""


class Problem(msgspec.Struct, frozen=True):
    """One error of an answer; `told` is whether it says more than its code does."""

    code: str
    message: str
    told: bool = True

    @property
    def text(self) -> str:
        """As Docker prints it: "manifest unknown: manifest unknown"."""
        words = self.code.lower().replace("_", " ")
        return f"{words}: {self.message}" if self.told else words


class Refusal(Exception):  # noqa: N818 - it is what a registry said
    """A registry's answer that is none of success; `text` is how Docker prints it.

    `passing` tells that the same request may succeed in a while; `retry_after` is in seconds, None if not said.
    `by_token_server` tells that it was not the registry itself, but where it sent us for a token.
    """

    def __init__(
        self,
        status: int,
        text: str,
        problems: Sequence[Problem] = (),
        *,
        passing: bool = False,
        retry_after: float | None = None,
        by_token_server: bool = False,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.problems = tuple(problems)
        self.passing = passing
        self.retry_after = retry_after
        self.by_token_server = by_token_server

    @property
    def code(self) -> str:
        """The code of the first problem, "" without one."""
        return self.problems[0].code if self.problems else ""


def refusal(
    status: int,
    body: bytes,
    *,
    content_type: str = "",
    challenges: Sequence[Challenge] = (),
    retry_after: str = "",
) -> Refusal:
    """What an answer of that status means."""
    wait = seconds_to_wait(retry_after)
    if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR and (wait is None or wait <= LONGEST_WAIT)
        text = f"received unexpected HTTP status: {status} {phrase(status)}".rstrip()
        return Refusal(status, text, passing=passing, retry_after=wait)
    problems: list[Problem] = []
    for challenge in challenges:
        code = _BY_OAUTH.get(challenge.parameters.get("error", ""))
        if challenge.scheme == "bearer" and code is not None:
            message = challenge.parameters.get("error_description") or _DEFAULTS[code]
            problems.append(Problem(code, printable(message)))
            break
    text = ""
    in_body = _of_body(status, body, content_type)
    if isinstance(in_body, str):
        text = in_body
        if status == HTTPStatus.UNAUTHORIZED:
            in_body = [Problem("UNAUTHORIZED", "", told=False)]
    if not isinstance(in_body, str):
        problems += in_body
    if problems:
        text = problems[0].text
        if len(problems) > 1:
            text = "errors:\n" + "".join(f"{problem.text}\n" for problem in problems)
    passing = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)
    passing = passing and (wait is None or wait <= LONGEST_WAIT)
    return Refusal(status, text, problems, passing=passing, retry_after=wait)


def of_token_server(refused: Refusal, what: str) -> Refusal:
    """A token server's refusal, which ended the request `what` ('Get "https://…": ')."""
    return Refusal(
        refused.status,
        what + refused.text,
        refused.problems,
        passing=refused.passing,
        retry_after=refused.retry_after,
        by_token_server=True,
    )


def of_pull(refused: Refusal, reference: Reference) -> errdefs.WherryError:
    """The failure of a pull of an image."""
    if refused.passing:
        return Transient(refused.text, refused.retry_after)
    first = refused.problems[0] if refused.problems else None
    if first is not None and first.told and not refused.by_token_server:
        around = {
            "DENIED": f"pull access denied for {reference.familiar_name}, repository does not exist or may "
            "require 'docker login'",
            "MANIFEST_UNKNOWN": f"manifest for {reference.familiar} not found",
            "NAME_UNKNOWN": f"repository {reference.familiar_name} not found",
        }.get(first.code)
        if around:
            return errdefs.NotFound(f"{around}: {first.text}")
    if (refused.retry_after or 0) > LONGEST_WAIT:
        return PutOff(refused.text)
    return errdefs.SystemFailure(refused.text)


def of_push(refused: Refusal) -> errdefs.WherryError:
    """The failure of a push to a repository."""
    if refused.passing:
        return Transient(refused.text, refused.retry_after)
    return errdefs.SystemFailure(refused.text)


def plain(refused: Refusal) -> errdefs.WherryError:
    """The failure of a look into a registry."""
    if refused.passing and refused.code == "TOOMANYREQUESTS":
        return Throttled(refused.text, refused.retry_after)
    if refused.passing:
        return Transient(refused.text, refused.retry_after)
    if refused.by_token_server:
        return errdefs.SystemFailure(refused.text)
    return _CLASSES.get(refused.code, errdefs.SystemFailure)(refused.text)


def phrase(status: int) -> str:
    """The words for a status, "" for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def seconds_to_wait(header: str) -> float | None:
    """Seconds from now that a `Retry-After` says, as a number or as a date; None if it says nothing."""
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return None


def _of_body(status: int, body: bytes, content_type: str) -> list[Problem] | str:
    """The problems that a body names, or how Docker complains of it."""
    code = _BY_STATUS.get(status, "UNKNOWN")
    if content_type.partition(";")[0].strip().lower() not in ("application/json", "application/vnd.api+json"):
        return [Problem(code, printable(body.decode(errors="replace")))]
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return f"error parsing HTTP {status} response body: {error}: {_quoted(body)}"
    if not isinstance(document, dict):
        return f"error parsing HTTP {status} response body: no object: {_quoted(body)}"
    details = document.get("details")
    if isinstance(details, str) and details:
        return [Problem(code, printable(details))]
    listed = document.get("errors")
    problems = [_problem(each) for each in listed[:_MAX_PROBLEMS]] if isinstance(listed, list) else []
    if problems:
        return problems
    return (
        f"error parsing HTTP {status} response body: no error details found in HTTP response body: "
        + _quoted(body)
    )


def _problem(item: Any) -> Problem:
    fields = {str(key).lower(): value for key, value in item.items()} if isinstance(item, dict) else {}
    code, message, detail = fields.get("code"), fields.get("message"), fields.get("detail")
    code = code if isinstance(code, str) and code in _DEFAULTS else "UNKNOWN"
    message = printable(message) if isinstance(message, str) else ""
    return Problem(code, message, told=detail is not None or message not in ("", _DEFAULTS[code]))


def printable(text: str) -> str:
    """A stranger's text, bounded and without control characters."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text[:_MAX_SHOWN]).strip("\n")


def _quoted(body: bytes) -> str:
    text = printable(body.decode(errors="replace")).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n") + '"'
