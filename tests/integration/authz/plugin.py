"""An authorization plugin of Docker's protocol, small and real: it allows what nothing speaks against.

    python plugin.py FOLDER SOCKETS NAME [NAME…]

serves SOCKETS/NAME.sock for each name. Each call is a line of FOLDER/calls: {"plugin", "method", "headers", "body"}.
FOLDER/faults.json, read at each call, may say {"NAME.AuthZReq": {"when": "text", "status": 403, "body": "…"}}: what a
plugin answers instead, after that many "seconds"; with `when`, to what has that text in its URI or bodies.
"""

import base64
import json
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

_lock = threading.Lock()


def answer(folder: Path, name: str, method: str, body: Any) -> tuple[int, bytes]:
    if method == "Plugin.Activate":
        return 200, b'{"Implements": ["authz"]}'
    path = folder / "faults.json"
    faults = json.loads(path.read_text()) if path.exists() else {}
    fault = faults.get(f"{name}.{method.removeprefix('AuthZPlugin.')}")
    if fault is None or fault.get("when", "") not in text_of(body):
        return 200, b'{"Allow": true}'
    time.sleep(fault.get("seconds", 0))
    return fault.get("status", 200), fault.get("body", "").encode()


def text_of(body: Any) -> str:
    shown = [base64.b64decode(body.get(f"{side}Body", "")).decode() for side in ("Request", "Response")]
    return " ".join([body["RequestUri"], *shown])


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 100


def serve(folder: Path, sockets: Path, name: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body, method = json.loads(raw) if raw else None, self.path[1:]
            call = {"plugin": name, "method": method, "headers": dict(self.headers.items()), "body": body}
            with _lock, (folder / "calls").open("a") as calls:
                calls.write(json.dumps(call) + "\n")
            status, data = answer(folder, name, method, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Calls are recorded elsewhere."""

    socket = sockets / f"{name}.sock"
    socket.unlink(missing_ok=True)
    threading.Thread(target=Server(str(socket), Handler).serve_forever, daemon=True).start()


if __name__ == "__main__":
    for each in sys.argv[3:]:
        serve(Path(sys.argv[1]), Path(sys.argv[2]), each)
    print("ready", flush=True)
    sys.stdin.read()
