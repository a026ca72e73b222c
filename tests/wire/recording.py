"""wherryd as the tests start it to see what it answers: it notes every JSON body in a file of its own in the
directory of the first argument.

A note is a line, a JSON object with `method`, `path` (the route's), `version`, `status`, `type` and `length`, and then
as many bytes of a body. Of a stream each message has one, and what was noted lately is not noted again. What is asked
with a `GET` at an older version is asked once more at the newest: the CLI of Debian ends at 1.45.

Run as a script, with `-I`; the other arguments are wherryd's.
"""

import json
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import msgspec
from aiohttp import web

from api import versions
from api.routing import Route, Target
from api.server import API

LATELY = 10_000  # notes
# The one takes two seconds, and its fields are the same; of the other the container may have made an archive meanwhile,
# which would come before the answer that there is none.
ASKED_ONCE = frozenset({"/containers/{name}/stats", "/containers/{name}/archive"})


class Recorder:
    """Writes down what an API answers."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._streams: dict[int, dict[str, Any]] = {}
        self._lately: set[int] = set()

    def install(self) -> None:
        """Look at every answer from now on."""
        API._run = self._around(API._run)  # type: ignore[method-assign]
        web.StreamResponse.write = self._around_write(web.StreamResponse.write)  # type: ignore[method-assign]

    def _around(self, run: Callable[..., Any]) -> Callable[..., Any]:
        async def recorded(
            api: API, request: web.BaseRequest, target: Target, route: Route, variables: dict[str, str]
        ) -> web.StreamResponse:
            version = target.version or versions.MAXIMUM
            about = {"method": route.method, "path": route.path, "version": version}
            self._streams[id(request)] = about
            try:
                answer: web.StreamResponse = await run(api, request, target, route, variables)
            finally:
                del self._streams[id(request)]
            self._answered(about, answer)
            if self._is_to_be_asked_again(route, answer, version):
                newest = msgspec.structs.replace(target, version=versions.MAXIMUM)
                again = await run(api, request, newest, route, variables)
                self._answered(about | {"version": versions.MAXIMUM}, again)
            return answer

        return recorded

    def _is_to_be_asked_again(self, route: Route, answer: web.StreamResponse, version: str) -> bool:
        return (
            route.method == "GET"
            and route.path not in ASKED_ONCE
            and not answer.prepared
            and version != versions.MAXIMUM
            and answer.content_type.endswith("json")
        )

    def _answered(self, about: dict[str, Any], answer: web.StreamResponse) -> None:
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            self._note(about, answer, answer.body)

    def _around_write(self, write: Callable[..., Any]) -> Callable[..., Any]:
        async def recorded(answer: web.StreamResponse, data: bytes) -> None:
            about = self._streams.get(id(answer._req))
            if about is not None:
                self._note(about, answer, bytes(data))
            await write(answer, data)

        return recorded

    def _note(self, about: dict[str, Any], answer: web.StreamResponse, body: bytes) -> None:
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if "json" not in kind or not body:
            return
        note = hash((*about.values(), answer.status, kind, body))
        if note not in self._lately:
            if len(self._lately) >= LATELY:
                self._lately.clear()
            self._lately.add(note)
            line = about | {"status": answer.status, "type": kind, "length": len(body)}
            self._file.write(json.dumps(line).encode() + b"\n" + body)


def main() -> None:
    """Note, and be wherryd."""
    file = Path(sys.argv.pop(1), "now")
    if file.exists():  # of the daemon's former run
        file.rename(file.with_name(f"{time.time_ns()}"))
    # Without a buffer: the daemon may be killed, and others read meanwhile.
    Recorder(file.open("xb", buffering=0)).install()
    runpy.run_module("api", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
