"""Searching an index by Docker's first protocol: Docker Hub's, or that of the registry which a term names."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from yarl import URL

import errdefs
from engine.filters import Filters
from engine.images import documents
from engine.registry import directory, errors, hosts
from engine.registry.access import Access
from engine.registry.credentials import Credentials
from engine.registry.exchange import Wire
from engine.registry.hosts import Host
from engine.registry.messages import Answer, Request
from engine.registry.tokens import Tokens

FILTERS = frozenset({"is-automated", "is-official", "stars"})
_DEFAULT_LIMIT = 25
_MAX_LIMIT = 100
_MAX_BODY = 1 << 20
_INDEX = "index.docker.io"
_HEADERS = {"X-Docker-Token": "true"}
_SCOPES = ("registry:catalog:search",)


class Found(msgspec.Struct, kw_only=True):
    """A repository as an index tells of it."""

    name: str = ""
    description: str = ""
    star_count: int = 0
    is_official: bool = False


class _Results(msgspec.Struct, kw_only=True):
    results: list[Found] = msgspec.field(default_factory=list)


async def search(
    wire: Wire, tokens: Tokens, term: str, limit: int, wanted: Filters, credentials: Credentials | None
) -> list[Found]:
    """What an index finds for "nginx" or "host:port/nginx", in its order: at most `limit`, 0 for Docker's default.

    InvalidArgument for filters, a limit and a name that cannot be, and for a host that cannot be spoken to; else
    SystemFailure.
    """
    if wanted.boolean("is-automated", default=False):
        return []  # nothing is, any more
    fits = _matcher(wanted)
    if "://" in term:
        raise errdefs.InvalidArgument(
            f"invalid repository name: repository name ({term[:256]}) should not have a scheme"
        )
    limit = limit or _DEFAULT_LIMIT
    if not 1 <= limit <= _MAX_LIMIT:
        raise errdefs.InvalidArgument(f"limit {limit} is outside the range of [1, {_MAX_LIMIT}]")
    domain, name = split(term)
    host = await _host(wire, domain)
    url = URL(f"{host.url}/search", encoded=True).with_query(q=name, n=limit)
    async with _asked(wire, tokens, host, url, credentials) as answer:
        if answer.status != HTTPStatus.OK:
            raise errdefs.SystemFailure(f"Unexpected status code {answer.status}")
        found = _read(await answer.body(_MAX_BODY))
    return [each for each in found if fits(each)]


def split(term: str) -> tuple[str, str]:
    """The domain that a term names, Docker Hub's unless it does, and what is looked for there.

    InvalidArgument for what is no domain.
    """
    first, slash, rest = term.partition("/")
    domain = hosts.HUB
    if slash and ("." in first or ":" in first or first == "localhost"):
        domain, term = first, rest
    if domain in (hosts.HUB, _INDEX):
        return hosts.HUB, term.removeprefix("library/")
    if domain.startswith("-") or domain.endswith("-"):
        raise errdefs.InvalidArgument(
            f"invalid index name ({domain[:256]}). Cannot begin or end with a hyphen"
        )
    if not hosts.is_netloc(domain):
        raise errdefs.InvalidArgument(f"invalid index name ({domain[:256]})")
    return domain, term


async def _host(wire: Wire, domain: str) -> Host:
    """The index of a domain, its URL with /v1; one that is insecure may be without TLS."""
    read = directory.reader(wire.settings.certs_directories)
    found = await asyncio.to_thread(hosts.resolve, domain, wire.settings, read)
    indexes = [
        msgspec.structs.replace(host, url=host.url.removesuffix("/v2") + "/v1") for host in found if host.own
    ]
    if not indexes:
        raise errdefs.InvalidArgument(f"no host is configured to search for {domain}")
    if domain == hosts.HUB:
        return msgspec.structs.replace(indexes[0], url=f"https://{_INDEX}/v1")
    failures: list[str] = []
    for host in indexes:
        try:
            async with wire.ask(_request(host, URL(f"{host.url}/_ping", encoded=True))):
                return host
        except errdefs.WherryError as error:
            failures.append(error.message)
    raise errdefs.InvalidArgument(_unreachable(indexes[-1], failures))


def _unreachable(host: Host, failures: list[str]) -> str:
    if len(failures) > 1:
        https, http = failures
        return f'invalid registry endpoint "{host.url}/". HTTPS attempt: {https}. HTTP attempt: {http}'
    return (
        f"invalid registry endpoint {host.url}/: {failures[0]}. If this private registry supports only HTTP or "
        f"HTTPS with an unknown CA certificate, please add `--insecure-registry {host.netloc}` to the daemon's "
        "arguments. In the case of HTTPS, if you have access to the registry's CA certificate, no need for the "
        f"flag; simply place the CA certificate at /etc/docker/certs.d/{host.netloc}/ca.crt"
    )


@asynccontextmanager
async def _asked(
    wire: Wire, tokens: Tokens, host: Host, url: URL, credentials: Credentials | None
) -> AsyncIterator[Answer]:
    """The answer to who shows a password, or a token that was given for an identity token."""
    if credentials is None or not (credentials.identity_token and credentials.username):
        basic = credentials.basic if credentials is not None else ""
        async with wire.ask(_request(host, url, basic)) as answer:
            yield answer
        return
    api = msgspec.structs.replace(host, url=host.url.removesuffix("/v1") + "/v2")
    access = Access(wire, tokens, api, credentials, _SCOPES)
    try:
        async with access.ask("GET", url, _HEADERS) as answer:
            yield answer
    except errors.Refusal as refused:
        if refused.by_token_server:
            raise errdefs.SystemFailure(refused.text) from None
        raise errdefs.SystemFailure(f"Unexpected status code {refused.status}") from None


def _request(host: Host, url: URL, authorization: str = "") -> Request:
    return Request(
        method="GET",
        url=url,
        tls=host.tls,
        headers=_HEADERS,
        authorization=authorization,
        secret_headers=host.headers,
        connect_timeout=host.connect_timeout,
    )


def _read(body: bytes) -> list[Found]:
    try:
        return documents.read(body, _Results, "document").results
    except errdefs.InvalidArgument as error:
        raise errdefs.SystemFailure(f"error decoding registry search results: {error.message}") from None


def _matcher(wanted: Filters) -> Callable[[Found], bool]:
    """Whether a repository is one that is looked for."""
    official = wanted.boolean("is-official", default=False) if "is-official" in wanted else None
    stars = max((_stars(text) for text in wanted.values("stars")), default=0)
    return lambda found: (
        (official is None or found.is_official is official)
        and ("stars" not in wanted or found.star_count >= max(stars, 0))
    )


def _stars(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII) is None:
        shown = text[:64]
        raise errdefs.InvalidArgument(
            f"invalid filter 'stars={shown}': strconv.Atoi: parsing \"{shown}\": invalid syntax"
        )
    return int(text)
