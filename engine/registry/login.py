"""Logging in: whether a registry lets these credentials in, and the identity token that it may give for them."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from yarl import URL

import errdefs
from engine.registry import directory, errors, hosts, tokens
from engine.registry.challenge import Challenge
from engine.registry.credentials import Credentials
from engine.registry.exchange import Wire
from engine.registry.hosts import Capability, Host
from engine.registry.messages import Request

_INDEX = "index.docker.io"


async def login(wire: Wire, credentials: Credentials, server_address: str) -> str:
    """The identity token, "" if the registry gives none. Mirrors are not asked.

    Unauthorized if a token server refuses, SystemFailure in Docker's words for all else that fails. What answered
    with TLS is not tried without.
    """
    domain = domain_of(server_address)
    read = directory.reader(wire.settings.certs_directories)
    found = await asyncio.to_thread(hosts.resolve, domain, wire.settings, read)
    able = [host for host in found if host.own and Capability.PUSH in host.capabilities]
    failure: errdefs.WherryError | None = None
    for host in able:
        try:
            challenges = await _ping(wire, host)
        except errdefs.WherryError as error:
            failure = error
            continue
        return await _enter(wire, host, challenges, credentials)
    raise failure or errdefs.SystemFailure(f"no host is configured to log in to for {domain}")


def domain_of(server_address: str) -> str:
    """The domain that an address means: a host, a URL, or "" for Docker Hub. InvalidArgument for another text."""
    text = (
        server_address if server_address.startswith(("https://", "http://")) else f"https://{server_address}"
    )
    try:
        netloc = urlsplit(text).netloc if server_address else hosts.HUB
    except ValueError:
        netloc = ""
    if not hosts.is_netloc(netloc):
        raise errdefs.InvalidArgument("unable to parse server address: it must be a host or the URL of one")
    return hosts.HUB if netloc == _INDEX else netloc


async def _ping(wire: Wire, host: Host) -> list[Challenge]:
    async with wire.ask(_request(host)) as answer:
        return answer.challenges if answer.status == HTTPStatus.UNAUTHORIZED else []


async def _enter(wire: Wire, host: Host, challenges: list[Challenge], credentials: Credentials) -> str:
    demands = {each.scheme: each.parameters for each in reversed(challenges)}
    identity_token, authorization = "", ""
    what = f'Get "{host.url}/": '
    if "bearer" in demands:
        identity_token, token = await _exchange(wire, host, demands["bearer"], credentials, what)
        authorization = f"Bearer {token}"
    elif "basic" in demands:
        authorization = credentials.basic
        if not authorization:
            raise errdefs.SystemFailure(f"{what}no basic auth credentials")
    async with wire.ask(_request(host, authorization)) as answer:
        if answer.status != HTTPStatus.OK:
            status = f"{answer.status} {errors.phrase(answer.status)}".rstrip()
            raise errdefs.SystemFailure(f"login attempt to {host.url}/ failed with status: {status}")
    return identity_token


async def _exchange(
    wire: Wire, host: Host, parameters: Mapping[str, str], credentials: Credentials, what: str
) -> tuple[str, str]:
    """The identity token ("" for none) and the token that a token server gives for credentials."""
    try:
        wanted = tokens.Wanted.of(parameters, (), host)
        issued = await tokens.fetch(wire, wanted, credentials, host, offline=True)
    except errors.Refusal as refused:
        failure = errdefs.Unauthorized if refused.code == "UNAUTHORIZED" else errdefs.SystemFailure
        raise failure(what + refused.text) from None
    except errdefs.WherryError as error:
        raise errdefs.SystemFailure(what + error.message) from None
    return issued.refresh_token or credentials.identity_token, issued.token


def _request(host: Host, authorization: str = "") -> Request:
    return Request(
        method="GET",
        url=URL(f"{host.url}/", encoded=True),
        tls=host.tls,
        authorization=authorization,
        secret_headers=host.headers,
        connect_timeout=host.connect_timeout,
    )
