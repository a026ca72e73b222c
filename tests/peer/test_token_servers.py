"""Token servers that refuse, or answer oddly: what a pull, a login and a look say, the same as a real dockerd."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peer.comparison import JSON, differences, require
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both, Peer
from tests.peer.scripted import Rule, Scripted
from tests.ports import free_port
from tests.registries import PASSWORD, USER

pytestmark = pytest.mark.root

TYPED = {"Content-Type": "application/json"}
REALM = 'realm="http://{netloc}/token"'


def _told(status: int, body: str, **headers: str) -> Rule:
    return Rule("/token", status, body, {**TYPED, **headers})


def _errors(code: str, message: str) -> str:
    return json.dumps({"errors": [{"code": code, "message": message}]})


def _demand(parameters: str, *token: Rule, scheme: str = "Bearer") -> list[Rule]:
    """A registry that sends for a token, and what is got there."""
    challenge = {
        "WWW-Authenticate": f"{scheme} {parameters}",
        "Docker-Distribution-Api-Version": "registry/2.0",
    }
    refusal = _errors("UNAUTHORIZED", "authentication required")
    return [
        *token,
        *(Rule(path, 401, refusal, {**TYPED, **challenge}) for path in ("/v2/", "/v2/a/b/manifests/1")),
    ]


SERVERS = {
    "401": _demand(REALM, _told(401, _errors("UNAUTHORIZED", "incorrect username or password"))),
    "401-details": _demand(REALM, _told(401, '{"details": "incorrect username or password"}')),
    "401-text": _demand(REALM, Rule("/token", 401, "go away")),
    "401-empty": _demand(REALM, Rule("/token", 401)),
    "403": _demand(REALM, _told(403, _errors("DENIED", "requested access to the resource is denied"))),
    "403-own": _demand(REALM, _told(403, _errors("DENIED", "not for you"))),
    "403-text": _demand(REALM, Rule("/token", 403, "<html>no</html>")),
    "404": _demand(REALM, Rule("/token", 404, "404 page not found\n")),
    "404-json": _demand(REALM, _told(404, _errors("NAME_UNKNOWN", "no such thing"))),
    "400": _demand(REALM, _told(400, '{"error": "invalid_request"}')),
    "bad-refusal": _demand(REALM, _told(405, "[]")),
    "500-text": _demand(REALM, Rule("/token", 500, "broken")),
    "bad-json": _demand(REALM, _told(200, "{")),
    "bad-text": _demand(REALM, Rule("/token", 200, "hello")),
    "bad-list": _demand(REALM, _told(200, "[]")),
    "no-token": _demand(REALM, _told(200, "{}")),
    "empty-token": _demand(REALM, _told(200, '{"token": ""}')),
    "null-token": _demand(REALM, _told(200, '{"token": null}')),
    "bad-token": _demand(REALM, _told(200, '{"token": 5}')),
    "refused-token": _demand(REALM, _told(200, '{"token": "nobody-takes-it", "expires_in": 300}')),
    "no-realm": _demand('service="x"'),
    "empty-realm": _demand('realm=""'),
    "odd-realm": _demand('realm="ftp://127.0.0.1/token"'),
    "no-url": _demand('realm="://"'),
    "closed-realm": _demand('realm="http://127.0.0.1:1/token"'),
    "other-scheme": _demand('realm="x"', scheme="Negotiate"),
    "service": _demand(f'{REALM},service="s",scope="repository:a/b:pull"', _told(401, _errors("UNKNOWN", "x"))),
    "two": _demand(REALM, _told(401, json.dumps({"errors": [{"code": "DENIED"}, {"code": "UNAUTHORIZED"}]}))),
}  # fmt: skip


@pytest.fixture(scope="module")
def registries(peer: Peer, session_root: Path) -> Iterator[dict[str, str]]:
    """The host and port of each registry."""
    started: list[Scripted] = []
    try:
        for name, rules in SERVERS.items():
            started.append(Scripted(session_root / f"tokens-{name}", free_port(), peer.pid, rules))
            started[-1].__enter__()
        yield dict(zip(SERVERS, (server.netloc for server in started), strict=True))
    finally:
        for server in started:
            server.__exit__()


def _auth(**fields: str) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


WHO = {
    "nobody": {},
    "user": _auth(username=USER, password=PASSWORD),
    "identity": _auth(username=USER, identitytoken="an-identity-token"),
    "token": _auth(registrytoken="a-registry-token"),
}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_pulls(both: Both, registries: dict[str, str], who: str, version: str) -> None:
    found: list[str] = []
    for name, netloc in registries.items():
        path = f"/images/create?fromImage={netloc}/a/b&tag=1&with={name}."
        found += differences(both, "POST", path, version=version, headers=WHO[who])
    require(found)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_looks(both: Both, registries: dict[str, str], who: str, version: str) -> None:
    found: list[str] = []
    for name, netloc in registries.items():
        path = f"/distribution/{netloc}/a/b:1/json?with={name}."
        found += differences(both, "GET", path, version=version, headers=WHO[who])
    require(found)


@pytest.mark.parametrize(
    "given",
    [
        {"username": USER, "password": PASSWORD},
        {"username": USER, "identitytoken": "an-identity-token"},
        {},
    ],
    ids=["password", "identity", "nothing"],
)
def test_logins(both: Both, registries: dict[str, str], given: dict[str, str]) -> None:
    found: list[str] = []
    for name, netloc in registries.items():
        body = {**given, "serveraddress": netloc}
        found += differences(both, "POST", f"/auth?with={name}.", body, headers=JSON)
    require(found)
