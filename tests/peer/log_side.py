"""Drivers that send logs, of both daemons: a container that writes, receivers, what is compared of what they got."""

import re
import socket
from typing import Any

from tests.daemon import Wherryd
from tests.peer.peer import Peer
from tests.receivers import Receiver
from tests.unix_http import call

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
# Some drivers tell the command: there what it says on the other stream is not one word.
LINES = "echo 'out <&> é'; sleep .1; echo; sleep .1; echo e''rr >&2; sleep .1; printf unfinished"
LONG = "head -c 40000 /dev/zero | tr '\\0' x; echo; sleep .1; echo short"
BODY: dict[str, Any] = {
    "Image": "busybox:latest",
    "Env": ["A=1", "B=x y"],
    "Labels": {"l.x": "v", "_other": "<w>"},
}
MASKS = (
    (re.compile(rb"\b[0-9a-f]{64}\b"), b"<id>"),
    (re.compile(rb"\b[0-9a-f]{12}\b"), b"<id>"),
    # Of nanoseconds those at the end are left out that are 0: now and then there are six digits, as of microseconds.
    (re.compile(rb"(?<=SYSLOG_TIMESTAMP=)[-T:\d]+(\.\d+)?Z"), b"<fine time>"),
    (re.compile(rb'(?<="_created":")[-T:\d]+(\.\d+)?Z'), b"<fine time>"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"), b"<time>"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"), b"<fine time>"),
    (re.compile(rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"), b"<stamp>"),
    (re.compile(rb"\[\d+\]: "), b"[<pid>]: "),
    (re.compile(rb"(<id>|box\S*) \d+ (<id>|box\S*) - "), b"<tag> <pid> <tag> - "),
    (re.compile(rb'"timestamp":\d+(\.\d+)?'), b'"timestamp":<time>'),
)


def masked(data: bytes) -> bytes:
    for pattern, word in MASKS:
        data = pattern.sub(word, data)
    return data


def by_stream(messages: list[bytes]) -> list[bytes]:
    """Those of one stream behind those of the other: in which order two streams are read is chance."""
    return sorted(messages, key=lambda each: b"err" in each)


def whole(got: list[bytes], end: bytes) -> bool:
    """Whether what was said last on each stream is there."""
    said = b"".join(got)
    return end in said and (b"err" in said or b"short" in end)


class Side:
    """One of the two daemons, and receivers that it can reach."""

    def __init__(self, daemon: Wherryd | Peer, netns: int) -> None:
        self.daemon = daemon
        self.netns = netns
        self.root = daemon.root

    def receiver(self, kind: socket.SocketKind, path: str = "") -> Receiver:
        if path:
            return Receiver(str(self.root / path), kind).start()
        return Receiver(("127.0.0.1", 0), kind, netns=self.netns).start()

    def run(self, driver: str, options: dict[str, str], script: str) -> None:
        body = {
            **BODY,
            "Cmd": ["sh", "-c", script],
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": driver, "Config": options}},
        }
        made = call(self.daemon.socket, "POST", "/v1.45/containers/create?name=box", body)
        assert made.status == 201, made.body
        try:
            started = call(self.daemon.socket, "POST", "/v1.45/containers/box/start")
            assert started.status == 204, started.body
            call(self.daemon.socket, "POST", "/v1.45/containers/box/wait")
        finally:
            call(self.daemon.socket, "DELETE", "/v1.45/containers/box?force=1")
