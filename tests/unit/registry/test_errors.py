import json
from typing import Any

import pytest

import errdefs
from engine.images.reference import parse
from engine.registry import challenge, errors

REFERENCE = parse("r.example/a/b:1")
JSON = "application/json; charset=utf-8"


def _refusal(status: int, *problems: dict[str, Any], **how: Any) -> errors.Refusal:
    body = json.dumps({"errors": list(problems)}).encode()
    return errors.refusal(status, body, **{"content_type": JSON, **how})


UNKNOWN_TAG = {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"Tag": "1"}}
DENIED = {"code": "DENIED", "message": "requested access to the resource is denied", "detail": []}


@pytest.mark.parametrize(
    ("refused", "pulled", "looked"),
    [
        (
            _refusal(404, UNKNOWN_TAG),
            errdefs.NotFound("manifest for r.example/a/b:1 not found: manifest unknown: manifest unknown"),
            errdefs.NotFound("manifest unknown: manifest unknown"),
        ),
        (
            _refusal(404, {"code": "NAME_UNKNOWN", "message": "no such", "detail": None}),
            errdefs.NotFound("repository r.example/a/b not found: name unknown: no such"),
            errdefs.NotFound("name unknown: no such"),
        ),
        (
            _refusal(403, DENIED),
            errdefs.NotFound(
                "pull access denied for r.example/a/b, repository does not exist or may require 'docker login': "
                "denied: requested access to the resource is denied"
            ),
            errdefs.Forbidden("denied: requested access to the resource is denied"),
        ),
        (
            _refusal(401, {"code": "UNAUTHORIZED", "message": "authentication required", "detail": None}),
            errdefs.SystemFailure("unauthorized"),
            errdefs.Unauthorized("unauthorized"),
        ),
        (
            _refusal(400, {"code": "MADE_UP", "message": "x"}, {"code": 5}),
            errdefs.SystemFailure("errors:\nunknown: x\nunknown\n"),
            errdefs.SystemFailure("errors:\nunknown: x\nunknown\n"),
        ),
        (
            errors.refusal(403, b"go away\x1b[31m", content_type="text/plain"),
            errdefs.NotFound(
                "pull access denied for r.example/a/b, repository does not exist or may require 'docker login': "
                "denied: go away [31m"
            ),
            errdefs.Forbidden("denied: go away [31m"),
        ),
        (
            errors.refusal(404, b'{"details": "Not here"}', content_type=JSON),
            errdefs.SystemFailure("unknown: Not here"),
            errdefs.SystemFailure("unknown: Not here"),
        ),
        (
            errors.refusal(404, b'{"errors":[]}', content_type=JSON),
            errdefs.SystemFailure(
                "error parsing HTTP 404 response body: no error details found in HTTP response body: "
                '"{\\"errors\\":[]}"'
            ),
            errdefs.SystemFailure(
                "error parsing HTTP 404 response body: no error details found in HTTP response body: "
                '"{\\"errors\\":[]}"'
            ),
        ),
        (
            errors.refusal(401, b"{", content_type=JSON),
            errdefs.SystemFailure("unauthorized"),
            errdefs.Unauthorized("unauthorized"),
        ),
        (
            errors.refusal(503, b"x", retry_after="2"),
            errors.Transient("received unexpected HTTP status: 503 Service Unavailable", 2.0),
            errors.Transient("received unexpected HTTP status: 503 Service Unavailable", 2.0),
        ),
        (
            errors.refusal(399, b""),
            errdefs.SystemFailure("received unexpected HTTP status: 399"),
            errdefs.SystemFailure("received unexpected HTTP status: 399"),
        ),
        (
            _refusal(429, {"code": "TOOMANYREQUESTS", "message": "slow down"}, retry_after="60"),
            errors.Transient("toomanyrequests: slow down", 60.0),
            errors.Throttled("toomanyrequests: slow down", 60.0),
        ),
        (
            _refusal(429, {"code": "TOOMANYREQUESTS", "message": "slow down"}, retry_after="61"),
            errors.PutOff("toomanyrequests: slow down"),
            errdefs.TooManyRequests("toomanyrequests: slow down"),
        ),
        (
            errors.refusal(500, b"", retry_after="3600"),
            errors.PutOff("received unexpected HTTP status: 500 Internal Server Error"),
            errdefs.SystemFailure("received unexpected HTTP status: 500 Internal Server Error"),
        ),
    ],
)
def test_what_answers_mean(
    refused: errors.Refusal, pulled: errdefs.WherryError, looked: errdefs.WherryError
) -> None:
    for found, expected in ((errors.of_pull(refused, REFERENCE), pulled), (errors.plain(refused), looked)):
        assert type(found) is type(expected)
        assert found.message == expected.message
        assert getattr(found, "retry_after", None) == getattr(expected, "retry_after", None)


def test_a_challenge_says_why() -> None:
    told = challenge.parse(['Bearer realm="r",error="insufficient_scope"'])
    refused = _refusal(401, {"code": "UNAUTHORIZED", "message": "no", "detail": 1}, challenges=told)
    assert [problem.code for problem in refused.problems] == ["DENIED", "UNAUTHORIZED"]
    assert isinstance(errors.of_pull(refused, REFERENCE), errdefs.NotFound)


def test_texts_of_strangers_are_bounded() -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "x" * 10_000}] * 1000}).encode()
    refused = errors.refusal(403, body, content_type=JSON)
    assert len(refused.text) < 20_000
    assert len(errors.refusal(403, b"x" * 60_000).text) < 2000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("5", 5.0),
        (" 120 ", 120.0),
        ("-1", None),
        ("soon", None),
        ("1e3", None),
        ("9" * 400, 999999999.0),
    ],
)
def test_seconds_to_wait(header: str, expected: float | None) -> None:
    assert errors.seconds_to_wait(header) == expected


def test_a_date_to_wait_for() -> None:
    assert errors.seconds_to_wait("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0
    later = errors.seconds_to_wait("Fri, 31 Dec 9999 23:59:59 GMT")
    assert later is not None
    assert later > errors.LONGEST_WAIT


@pytest.mark.parametrize(
    "body", [b"\xff", b"[" * 50_000, b"null", b'"x"', b'{"errors": 5}', b'{"errors": [5]}']
)
@pytest.mark.parametrize("status", [400, 401, 404, 429])
def test_bodies_that_are_nonsense(body: bytes, status: int) -> None:
    refused = errors.refusal(status, body, content_type="application/json")
    assert refused.text
    assert errors.of_pull(refused, REFERENCE).message == refused.text
