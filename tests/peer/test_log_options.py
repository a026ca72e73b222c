"""Options of log drivers: what is refused, and in which words, as of a real dockerd."""

import json
from typing import Any

import pytest

from tests.peer.peer import Answer, Both

pytestmark = pytest.mark.root

AT_CREATE: list[tuple[str, dict[str, str]]] = [
    ("json-file", {"mode": "non-blocking", "max-buffer-size": "x"}),
    ("json-file", {"mode": "blocking", "max-buffer-size": "1m"}),
    *(("json-file", {"cache-disabled": value}) for value in ("x", "maybe")),
    ("json-file", {"cache-foo": "x"}),
    *(("local", {name: "x"}) for name in ("bad", "labels", "env-regex", "tag")),
    ("journald", {"bad": "x"}),
    *(
        ("syslog", {"syslog-address": value})
        for value in (
            "x",
            "foo://a",
            "unix:///nonexistent",
            "unixgram:///nonexistent",
            "tcp://a:b:c",
            "tcp://a:x",
        )
    ),
    *(("syslog", {"syslog-facility": value}) for value in ("x", "24", "-1")),
    *(("syslog", {name: "x"}) for name in ("bad", "syslog-format", "syslog-tag")),
    *(
        ("fluentd", {"fluentd-address": value})
        for value in (
            *("x:y", "unix://", "udp://a:1", "tcp://a:1/path", "tcp://a:99999", "foo://a"),
            *("tls://a:1/path", "tls://a:99999", "tls://a:x", "tls://a:1/", "tls:///path", "tls+tcp://a:1"),
        )
    ),
    *(
        ("fluentd", {f"fluentd-{name}": "x"})
        for name in (
            "async",
            "async-connect",
            "buffer-limit",
            "max-retries",
            "retry-wait",
            "request-ack",
            "bad",
        )
    ),
    *(("fluentd", {"fluentd-async-reconnect-interval": value}) for value in ("x", "1ms", "100s", "2h")),
    ("fluentd", {"fluentd-async": "true", "fluentd-async-connect": "true"}),
    ("fluentd", {"fluentd-sub-second-precision": "x"}),
    *(("gelf", options) for options in ({}, {"bad": "x"})),
    *(("gelf", {"gelf-address": value}) for value in ("x", "udp://127.0.0.1", "foo://127.0.0.1:1")),
    *(
        ("gelf", {"gelf-address": "udp://127.0.0.1:1", name: "x"})
        for name in ("bad", "gelf-compression-type", "gelf-compression-level", "gelf-tcp-max-reconnect")
    ),
    ("gelf", {"gelf-address": "udp://127.0.0.1:1", "gelf-compression-level": "10"}),
    ("gelf", {"gelf-address": "tcp://127.0.0.1:1", "gelf-compression-type": "gzip"}),
    ("gelf", {"gelf-address": "tcp://127.0.0.1:1", "gelf-tcp-max-reconnect": "-1"}),
    ("gelf", {"gelf-address": "tcp://127.0.0.1:1", "gelf-tcp-reconnect-delay": "x"}),
    *((driver, {}) for driver in ("logentries", "nosuch")),
]
AT_START: list[tuple[str, dict[str, str]]] = [
    *(("json-file", {"max-size": value}) for value in ("-1", "0", "x")),
    *(("json-file", {"max-file": value}) for value in ("x", "0")),
    *(("json-file", {"compress": value, "max-size": "1m"}) for value in ("x", "true")),
    *(("json-file", {"tag": value}) for value in ("{{.Foo}}", "a {{ .Foo}}", "{{", "{{foo .Name}}")),
    *(("local", {"max-size": value}) for value in ("-1", "x")),
    *(("local", {"max-file": value}) for value in ("x", "-1", "0", "1")),
    ("local", {"compress": "x"}),
]
WHOLE: list[tuple[str, dict[str, str]]] = [
    ("journald", {}),
    ("syslog", {}),
    ("syslog", {"syslog-address": "tcp+tls://127.0.0.1:1", "syslog-tls-ca-cert": "/nonexistent"}),
]
TAKEN: list[tuple[str, dict[str, str]]] = [
    ("json-file", {"max-size": "1m", "max-file": "2", "compress": "true", "cache-max-size": "1m"}),
    ("local", {"max-size": "0", "cache-disabled": "true"}),
    ("local", {"max-file": "1", "compress": "false"}),
    ("syslog", {"syslog-address": "udp://127.0.0.1", "syslog-facility": "3", "mode": "non-blocking"}),
    ("fluentd", {"fluentd-async": "true", "fluentd-buffer-limit": "8k", "fluentd-retry-wait": "1s"}),
    ("fluentd", {"fluentd-async": "true", "fluentd-address": "tls://127.0.0.1:1"}),
    ("gelf", {"gelf-address": "udp://127.0.0.1:1", "gelf-compression-level": "-1", "labels-regex": "^a"}),
    ("none", {"x": "y", "mode": "x"}),
    ("", {"max-size": "10m"}),
]


def create(both: Both, driver: str, options: dict[str, str]) -> tuple[Answer, Answer]:
    log = {"Type": driver, "Config": options}
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "LogConfig": log}}
    return both("POST", "/containers/create?name=log-options", body)


def start(both: Both) -> tuple[Answer, Answer]:
    try:
        return both("POST", "/containers/log-options/start")
    finally:
        both("DELETE", "/containers/log-options?force=1")


def text(case: Any) -> str:
    return json.dumps(case) if isinstance(case, dict) else str(case)


@pytest.mark.parametrize(("driver", "options"), AT_CREATE, ids=text)
def test_refused(both: Both, driver: str, options: dict[str, str]) -> None:
    ours, theirs = create(both, driver, options)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    assert ours.status == 400


@pytest.mark.parametrize(("driver", "options"), AT_START, ids=text)
def test_refused_earlier(both: Both, driver: str, options: dict[str, str]) -> None:
    """By dockerd when the container is to start."""
    ours, created = create(both, driver, options)
    assert (ours.status, created.status) == (400, 201)
    _, theirs = start(both)
    assert theirs.body["message"].endswith(f": failed to initialize logging driver: {ours.body['message']}")


@pytest.mark.parametrize(("driver", "options"), WHOLE, ids=text)
def test_refused_to_start(both: Both, driver: str, options: dict[str, str]) -> None:
    create(both, driver, options)
    ours, theirs = start(both)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)


@pytest.mark.parametrize(("driver", "options"), TAKEN, ids=text)
def test_taken(both: Both, driver: str, options: dict[str, str]) -> None:
    """And shown as asked, also where the engine bounds the log by itself."""
    ours, theirs = create(both, driver, options)
    assert ours.status == theirs.status == 201
    seen = both("GET", "/containers/log-options/json")
    shown = [each.body["HostConfig"]["LogConfig"] for each in seen]
    both("DELETE", "/containers/log-options?force=1")
    assert shown[0] == shown[1]
