"""Registries that cannot be reached from here, by what is known of them: ECR, GHCR and Harbor before Debian's registry.

They demand, redirect, count pages and refuse as the real ones; what they keep lies in Debian's registry.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

from tests.integration.registry.servers import Proxy, Seen


def problem(status: int, code: str, message: str, **headers: str) -> web.Response:
    """A refusal in the words of the distribution API."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status, headers=named)


@dataclass
class Storage:
    """A bucket: it gives blobs for a signed query, as it was written, and refuses whoever also brings a password."""

    upstream: str
    seen: list[Seen] = field(default_factory=list)
    signed: dict[str, str] = field(default_factory=dict)

    def sign(self, netloc: str, path: str, query: str) -> str:
        """The URL under which what the registry has under a path is given."""
        where = f"/{secrets.token_hex(8)}/data?{query}&X-Signature={secrets.token_hex(16)}"
        self.signed[where] = path
        return f"http://{netloc}{where}"

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(await Seen.of(request))
        if "authorization" in request.headers:
            return web.Response(
                status=400, text="<Code>InvalidArgument</Code> Only one auth mechanism allowed"
            )
        if request.raw_path not in self.signed or request.method != "GET":
            return web.Response(status=403, text="<Code>SignatureDoesNotMatch</Code>")
        ranged = {name: request.headers[name] for name in ("Range",) if name in request.headers}
        url = self.upstream + self.signed[request.raw_path]
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(url, headers=ranged) as answer,
        ):
            kept = {name: answer.headers[name] for name in ("Content-Range",) if name in answer.headers}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


@dataclass
class Vendor(Proxy):
    """One of them. `bucket` is host and port of the storage; `asked` are the requests for tokens."""

    storage: Storage = field(default_factory=lambda: Storage(""))
    bucket: str = ""
    user: str = "somebody"
    password: str = "a-secret-word"
    query: str = ""
    token_path: str = ""
    asked: list[Seen] = field(default_factory=list)
    issued: dict[str, list[str]] = field(default_factory=dict)

    @property
    def basic(self) -> str:
        """How the user shows his password."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.token_path and request.path == self.token_path:
            self.asked.append(await Seen.of(request))
            return self.give_token(request)
        if (refusal := self.refuse(request)) is not None:
            self.seen.append(await Seen.of(request))
            return refusal
        if request.method == "GET" and "/blobs/sha256:" in request.path:
            where = self.storage.sign(self.bucket, request.path, self.query)
            return web.Response(status=307, headers={"Location": where})
        return await super().__call__(request)

    def refuse(self, request: web.BaseRequest) -> web.Response | None:
        """Why a request is not let in."""
        raise NotImplementedError

    def give_token(self, request: web.BaseRequest) -> web.Response:
        """What the token server says."""
        given = request.headers.get("Authorization", "")
        if given not in ("", self.basic):
            return self.denied()
        token = secrets.token_urlsafe(48)
        scopes = request.query.getall("scope", [])
        self.issued[token] = [scope for scope in scopes if given or "push" not in scope]
        return web.json_response(self.answer(token))

    def denied(self) -> web.Response:
        """What somebody with a wrong password is told."""
        raise NotImplementedError

    def answer(self, token: str) -> Mapping[str, Any]:
        """How a token is given."""
        raise NotImplementedError

    def holds_token(self, request: web.BaseRequest) -> bool:
        """Whether a request shows a token that is good for it."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.issued:
            return False
        _, repository, needed = self.scope(request).split(":")
        for scope in self.issued[token]:
            _, name, given = scope.split(":")
            if name == repository and set(needed.split(",")) <= set(given.split(",")):
                return True
        return request.path == "/v2/"

    def scope(self, request: web.BaseRequest) -> str:
        """What a request needs, as a token's scope says it."""
        repository = request.path.removeprefix("/v2/")
        for part in ("/manifests/", "/blobs/", "/tags/"):
            repository = repository.partition(part)[0]
        return f"repository:{repository}:{'pull' if request.method in ('GET', 'HEAD') else 'pull,push'}"


@dataclass
class Ecr(Vendor):
    """A password of 1.8 kB that is good for hours, for everything; nobody is let in without."""

    user: str = "AWS"
    password: str = "ey" + "A" * 1800
    query: str = (
        "X-Amz-Security-Token=" + quote("IQoJb3/+=" * 60, safe="") + "&X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Date=20261125T140000Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600"
    )

    def refuse(self, request: web.BaseRequest) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        if not given:
            challenge = f'Basic realm="http://{request.host}/",service="ecr.amazonaws.com"'
            return web.Response(status=401, text="Not Authorized\n", headers={"Www-Authenticate": challenge})
        if given != self.basic:
            text = "Your authorization token has expired. Reauthenticate and try again."
            return problem(403, "DENIED", text)
        return None


@dataclass
class Ghcr(Vendor):
    """Tokens for everybody, which it says nothing of: neither how long they live nor whether they can be renewed."""

    query: str = (
        "se=2026-11-25T15%3A00%3A00Z&sig=a%2Fb%2Bc%3D&ske=&sks=b&skt=&sp=r&spr=https&sr=b&sv=2019-12-12"
    )
    token_path: str = "/token"

    def refuse(self, request: web.BaseRequest) -> web.Response | None:
        if self.holds_token(request):
            return None
        scope = "repository:user/image:pull" if request.path == "/v2/" else self.scope(request)
        challenge = f'Bearer realm="http://{request.host}/token",service="ghcr.io",scope="{scope}"'
        return problem(401, "UNAUTHORIZED", "authentication required", Www_Authenticate=challenge)

    def denied(self) -> web.Response:
        return problem(403, "DENIED", "requested access to the resource is denied")

    def answer(self, token: str) -> Mapping[str, Any]:
        return {"token": token}


@dataclass
class Harbor(Vendor):
    """Robots with odd names, cookies, pages; who comes with a token that it has forgotten is asked for a password."""

    user: str = "robot$project+pusher"
    query: str = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=harbor%2F20261125%2Fus-east-1%2Fs3%2Faws4_request"
    )
    token_path: str = "/service/token"
    tags: tuple[str, ...] = ()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/tags/list") and self.refuse(request) is None:
            self.seen.append(await Seen.of(request))
            return self.page(request)
        return await super().__call__(request)

    def page(self, request: web.BaseRequest) -> web.Response:
        """Two tags, and where the next ones are."""
        rest = [tag for tag in self.tags if tag > request.query.get("last", "")]
        headers = {}
        if len(rest) > 2:
            headers["Link"] = f'<{request.path}?last={rest[1]}&n=2>; rel="next"'
        return web.json_response({"name": "project/image", "tags": rest[:2]}, headers=headers)

    def refuse(self, request: web.BaseRequest) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        if self.holds_token(request) or given == self.basic:
            return None
        challenge = 'Basic realm="harbor"'
        if not given:
            challenge = f'Bearer realm="http://{request.host}/service/token",service="harbor-registry"'
            challenge += "" if request.path == "/v2/" else f',scope="{self.scope(request)}"'
        text = f"unauthorized to access repository: {request.path}"
        cookie = f"sid={secrets.token_hex(8)}; Path=/; HttpOnly"
        return problem(401, "UNAUTHORIZED", text, Www_Authenticate=challenge, Set_Cookie=cookie)

    def denied(self) -> web.Response:
        return problem(401, "UNAUTHORIZED", "unauthorized: invalid username or password")

    def answer(self, token: str) -> Mapping[str, Any]:
        return {"token": token, "access_token": "", "expires_in": 1800, "issued_at": "2026-11-25T14:00:00Z"}


VENDORS = (Ecr, Ghcr, Harbor)
