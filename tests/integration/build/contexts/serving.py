"""A server of one file, which says what it was asked."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

DATE = "Sun, 09 Sep 2001 01:46:40 GMT"


@dataclass
class Server:
    """What it has, and which requests came: method and If-None-Match."""

    url: str = ""
    content: bytes = b"content"
    etag: str = '"one"'
    heads: bool = True  # answers HEAD
    heeds: bool = True  # answers 304
    names: bool = True  # in a 304
    sized: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    going: threading.Event = field(default_factory=threading.Event)

    def since(self) -> list[tuple[str, str]]:
        """The requests since the last look."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of one file, which it has under every name but /none."""
    has = Server()
    has.going.set()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            """Tell of the file."""
            self._answer(has.heads)

        def do_GET(self) -> None:
            """Give it."""
            if self._answer(allowed=True):
                half = len(has.content) // 2
                self.wfile.write(has.content[:half])
                self.wfile.flush()
                has.going.wait(30)
                self.wfile.write(has.content[half:])

        def _answer(self, allowed: bool) -> bool:
            told = self.headers.get("If-None-Match", "")
            has.asked.append((self.command, told))
            missing = self.path == "/none"
            unchanged = bool(has.heeds and has.etag and has.etag.removeprefix("W/") in told)
            self.send_response(404 if missing else 405 if not allowed else 304 if unchanged else 200)
            self.send_header("Last-Modified", DATE)
            if has.etag and (has.names or not unchanged):
                self.send_header("ETag", has.etag)
            if has.sized and not unchanged:
                self.send_header("Content-Length", str(len(has.content)))
            self.end_headers()
            return not missing and not unchanged

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        has.url = f"http://127.0.0.1:{listening.server_address[1]}"
        serving = threading.Thread(target=listening.serve_forever)
        serving.start()
        try:
            yield has
        finally:
            has.going.set()
            listening.shutdown()
            serving.join()
