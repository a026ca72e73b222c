import base64
import json

import pytest

from engine.registry.credentials import Credentials
from tests.unit.api.conftest import Served
from tests.unit.api.registry import DIGEST


async def test_login(served: Served) -> None:
    body = {"username": "u", "password": "right", "ServerAddress": "r.example:5000", "email": "x"}
    assert await served.ask("POST", "/auth", json=body) == (
        200,
        {"IdentityToken": "identity", "Status": "Login Succeeded"},
    )
    assert served.engine.registry.asked == [("login", Credentials("u", "right"), "r.example:5000")]


async def test_login_without_an_identity_token(served: Served) -> None:
    status, body = await served.ask("POST", "/v1.24/auth", data=b'{"username":"u","password":"right"}')
    assert (status, body) == (200, {"IdentityToken": "", "Status": "Login Succeeded"})


async def test_login_that_is_refused(served: Served) -> None:
    status, body = await served.ask("POST", "/auth", json={"username": "u", "password": "wrong"})
    assert (status, body["message"]) == (
        401,
        'Get "https://r.example/v2/": unauthorized: incorrect username or password',
    )


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"password": 5}', b"x" * 70000])
async def test_a_login_that_is_none(served: Served, body: bytes) -> None:
    status, _ = await served.ask("POST", "/auth", data=body)
    assert status == 400
    assert served.engine.registry.asked == []


def _header(**fields: str) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


async def test_a_look_into_a_registry(served: Served) -> None:
    status, body = await served.ask(
        "GET", "/distribution/r.example/a/b:1/json", headers=_header(username="u", password="p")
    )
    assert (status, body) == (
        200,
        {
            "Descriptor": {
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "digest": DIGEST,
                "size": 1234,
            },
            "Platforms": [
                {"architecture": "amd64", "os": "linux"},
                {
                    "architecture": "arm",
                    "os": "linux",
                    "os.version": "1",
                    "os.features": ["f"],
                    "variant": "v7",
                },
            ],
        },
    )
    assert served.engine.registry.asked == [("inspect", "r.example/a/b:1", Credentials("u", "p"))]


async def test_credentials_that_cannot_be_read_are_none(served: Served) -> None:
    status, body = await served.ask(
        "GET", f"/distribution/busybox@{DIGEST}/json", headers={"X-Registry-Auth": "%%%"}
    )
    assert (status, body["Platforms"]) == (200, None)
    assert served.engine.registry.asked == [("inspect", f"docker.io/library/busybox@{DIGEST}", None)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a" * 64, (500, "no manifest found for full image ID")),
        ("UPPER", (400, "invalid reference format: repository name (library/UPPER) must be lowercase")),
        ("scratch", (400, "'scratch' is a reserved name")),
        ("a%20b", (400, "invalid reference format")),
        ("busy", (429, "toomanyrequests: slow down")),
    ],
)
async def test_looks_that_fail(served: Served, name: str, expected: tuple[int, str]) -> None:
    status, body = await served.ask("GET", f"/distribution/{name}/json")
    assert (status, body["message"]) == expected
