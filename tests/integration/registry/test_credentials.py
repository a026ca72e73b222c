"""Who is let in: passwords, tokens, identity tokens; where they are sent, and where never."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from aiohttp import web

import errdefs
from engine.images.reference import parse
from engine.registry import errors
from engine.registry.client import Registry
from engine.registry.credentials import Credentials
from engine.registry.repository import Repository
from engine.registry.upload import Content
from tests.integration.registry.conftest import LAYER, read
from tests.integration.registry.servers import IDENTITY, ISSUER, SERVICE, TokenServer, serve
from tests.registries import PASSWORD, USER, Certificates, DebianRegistry, digest_of

KNOWN = Credentials(USER, PASSWORD)
WRONG = Credentials(USER, "wrong-word")
Make = Callable[..., DebianRegistry]
Open = Callable[..., Repository]


@pytest.fixture
def guarded(make_registry: Make) -> DebianRegistry:
    """A registry that asks for a password, with the image x:1."""
    registry = make_registry(htpasswd=True)
    registry.put_image("x", "1", [LAYER])
    return registry


async def test_a_password(guarded: DebianRegistry, open_repository: Open) -> None:
    repository = open_repository(f"{guarded.netloc}/x", KNOWN)
    assert await repository.manifest("1")
    assert await read(repository, digest_of(LAYER), len(LAYER)) == (0, LAYER)
    assert [tag async for tag in repository.tags()] == ["1"]


async def test_no_password(guarded: DebianRegistry, open_repository: Open) -> None:
    url = f"http://{guarded.netloc}/v2/x/manifests/1"
    for look, method in (("head", "Head"), ("manifest", "Get")):
        with pytest.raises(errdefs.SystemFailure) as failed:
            await getattr(open_repository(f"{guarded.netloc}/x"), look)("1")
        assert failed.value.message == f'{method} "{url}": no basic auth credentials'


async def test_a_wrong_password(guarded: DebianRegistry, open_repository: Open) -> None:
    with pytest.raises(errdefs.SystemFailure) as failed:
        await open_repository(f"{guarded.netloc}/x", WRONG).manifest("1")
    assert failed.value.message.startswith("unauthorized: authentication required")
    assert not isinstance(failed.value, errors.Transient)


@dataclass
class Guarded:
    """A registry that sends for tokens, and who gives them."""

    registry: DebianRegistry
    giver: TokenServer

    @property
    def name(self) -> str:
        return f"{self.registry.netloc}/x"


@pytest.fixture
async def by_token(make_registry: Make, certificates: Certificates) -> AsyncIterator[Guarded]:
    """A registry with the image x:1 that asks for tokens."""
    giver = TokenServer(certificates)
    async with serve(giver) as netloc:
        token = {
            "realm": f"http://{netloc}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(certificates.authority),
        }
        registry = await asyncio.to_thread(make_registry, token=token)
        bearer = giver.sign(["repository:x:pull,push"])
        registry.headers = {"Authorization": f"Bearer {bearer}"}
        await asyncio.to_thread(registry.put_image, "x", "1", [LAYER])
        yield Guarded(registry, giver)


async def test_one_token_for_all(by_token: Guarded, open_repository: Open) -> None:
    repository = open_repository(by_token.name)
    assert await repository.manifest("1")
    await asyncio.gather(*(read(repository, digest_of(LAYER), len(LAYER)) for _ in range(5)))
    (seen,) = by_token.giver.seen
    assert (seen.method, seen.query) == ("GET", [("scope", "repository:x:pull"), ("service", SERVICE)])
    assert "authorization" not in seen.headers


async def test_a_token_for_a_password(by_token: Guarded, open_repository: Open) -> None:
    assert await open_repository(by_token.name, KNOWN).manifest("1")
    (seen,) = by_token.giver.seen
    assert ("account", USER) in seen.query
    assert seen.headers["authorization"] == KNOWN.basic


async def test_tokens_belong_to_credentials(by_token: Guarded, clients: Callable[..., Registry]) -> None:
    client = clients()
    for credentials in (KNOWN, None, KNOWN, None, Credentials(identity_token=IDENTITY)):
        assert await client.repository(parse(by_token.name), credentials).manifest("1")
    assert len(by_token.giver.seen) == 3
    with pytest.raises(errdefs.SystemFailure) as failed:
        await client.repository(parse(by_token.name), WRONG).manifest("1")
    assert failed.value.message == (
        f'Get "http://{by_token.registry.netloc}/v2/x/manifests/1": unauthorized: incorrect username or password'
    )


async def test_an_identity_token(by_token: Guarded, open_repository: Open) -> None:
    assert await open_repository(by_token.name, Credentials("<token>", identity_token=IDENTITY)).manifest("1")
    (seen,) = by_token.giver.seen
    assert (seen.method, seen.query) == ("POST", [])
    assert "authorization" not in seen.headers
    for field in (
        f"refresh_token={IDENTITY}",
        "grant_type=refresh_token",
        "client_id=docker",
        "scope=repository",
    ):
        assert field in seen.body


async def test_a_registry_token_is_shown_as_it_is(by_token: Guarded, open_repository: Open) -> None:
    token = by_token.giver.sign(["repository:x:pull"])
    assert await open_repository(by_token.name, Credentials(registry_token=token)).manifest("1")
    assert by_token.giver.seen == []


async def test_a_token_that_expires_is_renewed(
    by_token: Guarded, open_repository: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = open_repository(by_token.name)
    assert await repository.manifest("1")
    monkeypatch.setattr("engine.registry.tokens._now", lambda: 1e12)
    assert await repository.manifest("1")
    assert len(by_token.giver.seen) == 2


async def test_a_token_that_is_refused_is_fetched_anew_once(
    by_token: Guarded, open_repository: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = open_repository(by_token.name)
    sign = by_token.giver.sign
    monkeypatch.setattr(by_token.giver, "sign", lambda scopes: sign(["repository:other:pull"]))
    with pytest.raises(errdefs.WherryError):
        await repository.manifest("1")
    assert len(by_token.giver.seen) == 2
    monkeypatch.setattr(by_token.giver, "sign", sign)
    assert await repository.manifest("1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "unable to decode token response: no JSON object"),
        (b"[]", "unable to decode token response: no JSON object"),
        (b"{}", "authorization server did not include a token in the response"),
        (b'{"token": 5}', "unable to decode token response: a token that is no text"),
        (b'{"token": "a\\r\\nb: c"}', "unable to decode token response: the token cannot stand in a header"),
        (b'{"token": "' + b"x" * 70_000 + b'"}', "the answer is larger than 65536 bytes"),
    ],
)
async def test_a_token_server_that_gives_nonsense(
    by_token: Guarded, open_repository: Open, body: bytes, expected: str
) -> None:
    by_token.giver.refuse = web.Response(status=200, body=body)
    with pytest.raises(errdefs.SystemFailure) as failed:
        await open_repository(by_token.name, KNOWN).manifest("1")
    assert failed.value.message.startswith(f'Get "http://{by_token.registry.netloc}/v2/x/manifests/1": ')
    assert failed.value.message.endswith(expected)


async def test_no_secret_is_told(
    by_token: Guarded, clients: Callable[..., Registry], caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where a server repeats what it was given."""
    caplog.set_level(logging.DEBUG)
    client, texts = clients(), [repr(KNOWN)]
    basic = KNOWN.basic.removeprefix("Basic ")
    by_identity = Credentials(identity_token=IDENTITY)
    for credentials, secrets in ((KNOWN, (PASSWORD, basic)), (by_identity, (IDENTITY,))):
        echo = {"errors": [{"code": "DENIED", "message": f"I do not take {' or '.join(secrets)}"}]}
        by_token.giver.refuse = web.Response(status=403, body=json.dumps(echo).encode())
        for ask in (
            client.repository(parse(by_token.name), credentials).manifest("1"),
            client.repository(parse(by_token.name), credentials).head("1"),
            client.login(credentials, by_token.registry.netloc),
            client.inspect(parse(by_token.name), credentials),
        ):
            with pytest.raises(errdefs.WherryError) as failed:
                await ask
            assert "I do not take xxxxx" in failed.value.message
            texts += [repr(failed.value), repr(failed.value.__cause__)]
    text = caplog.text + " ".join(texts)
    assert not [secret for secret in (PASSWORD, IDENTITY, basic) if secret in text]


async def test_a_realm_without_tls_gets_nothing_of_a_registry_with_tls(
    make_registry: Make, certificates: Certificates, open_repository: Open
) -> None:
    giver = TokenServer(certificates)
    async with serve(giver) as netloc:
        token = {
            "realm": f"http://{netloc}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(certificates.authority),
        }
        registry = await asyncio.to_thread(make_registry, token=token, certificates=certificates)
        with pytest.raises(errdefs.SystemFailure, match="is without TLS"):
            await open_repository(f"{registry.netloc}/x", KNOWN).manifest("1")
    assert giver.seen == []


async def test_login_with_a_password(guarded: DebianRegistry, clients: Callable[..., Registry]) -> None:
    client, url = clients(), f"http://{guarded.netloc}/v2/"
    for address in (guarded.netloc, f"http://{guarded.netloc}", f"https://{guarded.netloc}/v1/"):
        assert await client.login(KNOWN, address) == ""
    with pytest.raises(errdefs.SystemFailure) as failed:
        await client.login(WRONG, guarded.netloc)
    assert failed.value.message == f"login attempt to {url} failed with status: 401 Unauthorized"
    with pytest.raises(errdefs.SystemFailure) as failed:
        await client.login(Credentials(USER), guarded.netloc)
    assert failed.value.message == f'Get "{url}": no basic auth credentials'


async def test_a_password_that_was_refused_with_tls_is_not_shown_without(
    make_registry: Make, certificates: Certificates, clients: Callable[..., Registry]
) -> None:
    registry = await asyncio.to_thread(make_registry, htpasswd=True, certificates=certificates)
    with pytest.raises(errdefs.SystemFailure) as failed:
        await clients().login(WRONG, registry.netloc)
    assert failed.value.message == (
        f"login attempt to https://{registry.netloc}/v2/ failed with status: 401 Unauthorized"
    )
    assert await clients().login(KNOWN, registry.netloc) == ""


async def test_login_where_nobody_asks(plain: DebianRegistry, clients: Callable[..., Registry]) -> None:
    assert await clients().login(WRONG, plain.netloc) == ""


async def test_login_for_an_identity_token(by_token: Guarded, clients: Callable[..., Registry]) -> None:
    client = clients()
    assert await client.login(KNOWN, by_token.registry.netloc) == IDENTITY
    assert by_token.giver.seen[-1].query == [
        *(("account", USER), ("client_id", "docker"), ("offline_token", "true"), ("service", SERVICE))
    ]
    assert (
        await client.login(Credentials(USER, identity_token=IDENTITY), by_token.registry.netloc) == IDENTITY
    )
    with pytest.raises(errdefs.Unauthorized) as failed:
        await client.login(WRONG, by_token.registry.netloc)
    assert failed.value.message == (
        f'Get "http://{by_token.registry.netloc}/v2/": unauthorized: incorrect username or password'
    )


@pytest.mark.parametrize("address", ["https://", "a b", "https://u:word@r.example", " ", "http://[::1"])
async def test_addresses_that_are_none(clients: Callable[..., Registry], address: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"^unable to parse server address: ") as refused:
        await clients().login(KNOWN, address)
    assert "word" not in refused.value.message


async def test_a_push_asks_for_what_it_needs(by_token: Guarded, clients: Callable[..., Registry]) -> None:
    """Of its own repository to push and pull, of the one to mount from to pull; as Docker asks it."""
    other = f"{by_token.registry.netloc}/y"
    repository = clients().repository(parse(other), KNOWN, ("push", "pull"))
    upload = (await repository.uploads()).upload(Content(digest_of(LAYER), len(LAYER), _unread), ["x"])
    await upload.attempt()
    assert upload.source == "x"
    assert await read(repository, digest_of(LAYER), len(LAYER)) == (0, LAYER)
    scopes = [[value for name, value in seen.query if name == "scope"] for seen in by_token.giver.seen]
    assert scopes == [["repository:y:push,pull", "repository:x:pull"], ["repository:y:push,pull"]]


async def _unread(begin: int, size: int) -> AsyncIterator[bytes]:
    assert not size, f"what is mounted is not sent: {size} bytes from {begin} on"
    yield b""


@pytest.mark.parametrize("guard", ["password", "token"])
async def test_nobody_pushes(
    guarded: DebianRegistry, by_token: Guarded, clients: Callable[..., Registry], guard: str
) -> None:
    """In Docker's words, which do not say of which request."""
    by_token.giver.refuse = web.Response(
        status=401, body=json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "who?", "detail": {}}]})
    )
    name, text = {
        "password": (f"{guarded.netloc}/x", "no basic auth credentials"),
        "token": (by_token.name, "unauthorized: who?"),
    }[guard]
    writing = await clients().repository(parse(name), None, ("push", "pull")).uploads()
    with pytest.raises(errdefs.SystemFailure) as failed:
        await writing.exists(digest_of(LAYER))
    assert failed.value.message == text
