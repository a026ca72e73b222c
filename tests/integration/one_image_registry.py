"""A registry on this machine that has one image, `one:1` or `one:oci`, of one layer; it takes it back, and finds it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.integration.images.archives import tar

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(content: bytes) -> str:
    """Its name in a registry."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


LAYER = tar({"one": b"1"})
DIFF_IDS = [digest_of(LAYER)]
CONFIG = json.dumps(
    {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": DIFF_IDS}}
).encode()
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": digest_of(CONFIG),
            "size": len(CONFIG),
        },
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
                "digest": digest_of(LAYER),
                "size": len(LAYER),
            }
        ],
    }
).encode()
OCI_TYPE = "application/vnd.oci.image.manifest.v1+json"
OCI_MANIFEST = MANIFEST.replace(MANIFEST_TYPE.encode(), OCI_TYPE.encode())
FOUND = [{"name": "one", "description": "", "star_count": 1, "is_official": False, "is_automated": False}]
PLACES = {
    "/v1/_ping": (b"{}", "application/json"),
    "/v1/search?q=one&n=25": (json.dumps({"results": FOUND}).encode(), "application/json"),
    "/v2/": (b"{}", "application/json"),
    "/v2/one/manifests/1": (MANIFEST, MANIFEST_TYPE),
    f"/v2/one/manifests/{digest_of(MANIFEST)}": (MANIFEST, MANIFEST_TYPE),
    "/v2/one/manifests/oci": (OCI_MANIFEST, OCI_TYPE),
    f"/v2/one/manifests/{digest_of(OCI_MANIFEST)}": (OCI_MANIFEST, OCI_TYPE),
    f"/v2/one/blobs/{digest_of(CONFIG)}": (CONFIG, "application/octet-stream"),
    f"/v2/one/blobs/{digest_of(LAYER)}": (LAYER, "application/octet-stream"),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content, kind = PLACES.get(self.path, (b"", ""))
        self.send_response(200 if content else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest_of(content))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """A manifest, or the end of a blob."""
        self._take(201)

    def do_POST(self) -> None:
        """The begin of a blob that it does not have."""
        self._take(202)

    def do_PATCH(self) -> None:
        """A part of it."""
        self._take(202)

    def _take(self, status: int) -> None:
        got = 0
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                got += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            got = len(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        self.send_response(status)
        self.send_header("Location", "/v2/one/blobs/uploads/1")
        self.send_header("Range", f"0-{max(got - 1, 0)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def one_image_registry() -> Iterator[str]:
    """The registry's address, "localhost:port"."""
    server = ThreadingHTTPServer(("localhost", 0), _Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
