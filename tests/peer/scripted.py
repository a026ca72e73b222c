"""A server whose answers are written down, at the same address for both daemons: dockerd has a loopback of its own.

As a program (`scripted.py PORT FILE`) it serves one side.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Rule:
    """The answer to requests for a path, or those among them that show `authorization`. The first that fits counts.

    {netloc} in headers and body is the server's host and port; `cut` ends the body after as many bytes.
    """

    path: str
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    authorization: str = ""
    cut: int = -1


class Scripted:
    """Two servers of the same rules, in our network namespace and in that of the process `namespace`."""

    def __init__(self, root: Path, port: int, namespace: int, rules: Sequence[Rule]) -> None:
        root.mkdir(parents=True)
        self.netloc = f"127.0.0.1:{port}"
        self._root = root
        file = root / "rules.json"
        file.write_text(json.dumps([asdict(rule) for rule in rules]))
        argv = [sys.executable, "-I", __file__, str(port), str(file)]
        self._argvs = [argv, ["nsenter", "-t", str(namespace), "-n", *argv]]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Start them, and wait until they answer."""
        for number, argv in enumerate(self._argvs):
            told, log = self._root / f"ready-{number}", self._root / f"log-{number}"
            with log.open("wb") as stream:
                self._processes.append(
                    subprocess.Popen([*argv, str(told)], stdin=subprocess.DEVNULL, stderr=stream)
                )
            deadline = time.monotonic() + 20
            while not told.exists():
                assert self._processes[-1].poll() is None, f"no scripted server came up: {log.read_text()}"
                assert time.monotonic() < deadline, f"the scripted server is late: {log.read_text()}"
                time.sleep(0.02)
        return self

    def __exit__(self, *error: object) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait()


def main() -> None:
    """Serve rules; says by a file that it listens."""
    port, file, told = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    rules: list[dict[str, Any]] = json.loads(file.read_text())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer by the first rule that fits."""
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, given = self.path.partition("?")[0], self.headers.get("Authorization", "")
            fitting = (r for r in rules if r["path"] == path and r["authorization"] in ("", given))
            rule: dict[str, Any] = next(
                fitting, {"status": 404, "body": "not written down", "headers": {}, "cut": -1}
            )
            body = rule["body"].replace("{netloc}", f"127.0.0.1:{port}").encode("latin-1")
            self.send_response(rule["status"])
            for name, value in rule["headers"].items():
                self.send_header(name, value.replace("{netloc}", f"127.0.0.1:{port}"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body if rule["cut"] < 0 else body[: rule["cut"]])
            self.close_connection = rule["cut"] >= 0

        do_HEAD = do_POST = do_GET

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    told.touch()
    try:
        server.serve_forever()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
