"""A registry that gives whatever was put there, however wrong; Debian's would not take it."""

import http.server
import threading
from dataclasses import dataclass, field

from tests.registries import OCI_MANIFEST, digest_of


@dataclass
class Shelf:
    """What it gives: manifests by name or digest with their media types, blobs by digest; and what was asked for."""

    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    netloc: str = ""

    def put_blob(self, data: bytes) -> str:
        """Have a blob; its digest."""
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def put_manifest(self, tag: str, raw: bytes, media_type: str = OCI_MANIFEST) -> str:
        """Have a manifest under a tag and its digest, which is returned."""
        self.manifests[tag] = self.manifests[digest_of(raw)] = (raw, media_type)
        return digest_of(raw)

    def find(self, path: str) -> tuple[bytes, str] | None:
        """What a path of the API gives: body and type."""
        self.asked.append(path)
        kind, _, name = path.partition("/v2/hostile/")[2].partition("/")
        if kind == "manifests":
            return self.manifests.get(name)
        if path == "/v2/":
            return b"{}", "application/json"
        found = self.blobs.get(name)
        return None if found is None else (found, "application/octet-stream")


class Serving:
    """The shelf on loopback, by a thread of its own."""

    def __init__(self, shelf: Shelf) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body, media_type = shelf.find(self.path) or (b"{}", "")
                self.send_response(200 if media_type else 404)
                self.send_header("Content-Type", media_type or "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Say nothing: a client that has seen enough hangs up."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        shelf.netloc = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
