"""The API as one handler: route, negotiate, call, and turn every failure into Docker's form."""

import logging
from collections.abc import Iterable

import errdefs
from api import errors, versions, web
from api.authz.authorization import Authorization
from api.call import Call
from api.connection import Connection, Taken
from api.query import Query
from api.routing import Route, Router, Target, split_target

_log = logging.getLogger(__name__)


def docker_headers(engine_version: str) -> dict[str, str]:
    """The headers that every answer carries, once a request's route is known."""
    return {
        "Api-Version": versions.MAXIMUM,
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": f"Docker/{engine_version} (linux)",
    }


class API:
    """Handles requests of all listeners. `routes` decide what is served, `authorization` to whom."""

    def __init__(self, routes: Iterable[Route], authorization: Authorization, engine_version: str) -> None:
        self._router = Router(routes)
        self._authorization = authorization
        self._headers = docker_headers(engine_version)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever happens, the answer is Docker's."""
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.begin()
        try:
            response = await self._answer(request)
        finally:
            connection.finish()
        if _log.isEnabledFor(logging.DEBUG):  # the path is decoded for it
            _log.debug("%s %s: %d", request.method, request.path, response.status)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "OPTIONS" and request.raw_path == "*":
            return self._with_headers(web.Response())
        target = split_target(request.raw_path)
        if not target.clean:
            return self._nameless(web.Response(status=301, headers={"Location": target.location}))
        found = (_ANY, {}) if request.method == "OPTIONS" else self._router.find(request.method, target.path)
        if found is None:
            return self._nameless(errors.response(404, errors.PAGE_NOT_FOUND))
        return self._with_headers(await self._run(request, target, *found))

    def _nameless(self, response: web.Response) -> web.Response:
        """Where dockerd names nobody, at least not the library that we use."""
        response.headers["Server"] = self._headers["Server"]
        return response

    def _with_headers(self, response: web.StreamResponse) -> web.StreamResponse:
        if not response.prepared:
            for name, value in self._headers.items():
                response.headers.setdefault(name, value)
        return response

    async def _run(
        self, request: web.BaseRequest, target: Target, route: Route, variables: dict[str, str]
    ) -> web.StreamResponse:
        call = asked = None
        try:
            call = Call(
                request=request,
                version=versions.negotiate(target.version),
                query=Query(target.query),
                variables=variables,
                headers=self._headers,
            )
            asked = await self._authorization.ask(call, route.path, target.location)
            response = await route.handler(call)
        except Exception as error:  # noqa: BLE001 - the top frame of a request
            response = _failed(request, route, call, error)
        if asked is None:
            return response
        return await asked.about(self._with_headers(response))


def _failed(
    request: web.BaseRequest, route: Route, call: Call | None, error: Exception
) -> web.StreamResponse:
    if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
        return Taken()
    status, message = errors.describe(error, f"{route.method} {route.path}")
    if call is None or call.started is None:
        return errors.response(status, message)
    return _broken(request, call.started)


def _broken(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """An answer that failed after its head: the connection breaks, so that the client sees it was cut off."""
    if request.transport is not None:
        request.transport.abort()
    return response


async def _options(call: Call) -> web.StreamResponse:
    """There is nothing to tell of any path, as in Docker."""
    del call
    return web.Response()


_ANY = Route("OPTIONS", "/{anyroute}", _options)
"""As in Docker: whatever the path, its version is checked and plugins are asked."""


def refused(method: str, path: str, summary: str) -> Route:
    """A route of Docker's that wherry does not serve yet; it says so by name."""

    async def answer(call: Call) -> web.StreamResponse:
        del call
        raise errdefs.Unsupported(f"{summary}: not supported by this version of wherry ({method} {path})")

    return Route(method, path, answer, built=False, summary=summary)
