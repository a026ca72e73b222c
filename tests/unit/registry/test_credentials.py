import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.registry.credentials import Credentials, decode

SECRETS = Credentials("user", "pass-word", "identity-token", "registry-token")


def _header(document: object, *, padded: bool = True) -> str:
    text = base64.urlsafe_b64encode(json.dumps(document).encode()).decode()
    return text if padded else text.rstrip("=")


@pytest.mark.parametrize("padded", [True, False])
def test_a_header(padded: bool) -> None:
    given = {
        "username": "user",
        "password": "pass-word",
        "email": "e@x",
        "serveraddress": "r.example",
        "identitytoken": "identity-token",
        "registrytoken": "registry-token",
    }
    assert decode(_header(given, padded=padded)) == SECRETS


def test_a_header_is_read_as_go_reads_it() -> None:
    assert decode(_header({"Username": "ü>", "PASSWORD": "ÿ?", "auth": None})) == Credentials("ü>", "ÿ?")


@pytest.mark.parametrize("header", ["", "  ", "e30=", "e30", _header({"email": "x"}), _header(None)])
def test_nobody(header: str) -> None:
    assert decode(header) is None


@pytest.mark.parametrize(
    "header",
    [
        "%%%",
        "YQ",
        "a",
        _header([1]),
        _header({"password": 5}),
        _header({"registrytoken": "a\r\nX: y"}),
        base64.urlsafe_b64encode(b'{"password":"pass-word"').decode(),
        base64.urlsafe_b64encode(b'{"password":"\xff\xfe pass-word"}').decode(),
    ],
)
def test_a_broken_header(header: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"^invalid ") as refused:
        decode(header)
    assert "pass-word" not in refused.value.message
    assert refused.value.__cause__ is None


@given(st.text(max_size=60))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        decode(header)
    except errdefs.InvalidArgument:
        pass


def test_no_secret_is_shown() -> None:
    shown = f"{SECRETS!r} {SECRETS}"
    assert shown == "Credentials(…) Credentials(…)"
    assert not any(word in shown for word in ("pass-word", "identity-token", "registry-token"))


def test_secrets_are_taken_out_of_texts() -> None:
    basic = SECRETS.basic.removeprefix("Basic ")
    text = f"no {basic} and no pass-word, identity-token, registry-token for user"
    assert SECRETS.redact(text) == "no xxxxx and no xxxxx, xxxxx, xxxxx for user"
    assert Credentials().redact("whole") == "whole"


def test_basic() -> None:
    assert Credentials("Aladdin", "open sesame").basic == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert Credentials("Aladdin").basic == Credentials(password="x").basic == ""
