"""Labels, variables and tags in the log: the same records and the same `docker logs --details` as a real dockerd."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

CONFIG: dict[str, Any] = {
    "Image": "busybox:latest",
    "Cmd": ["sh", "-c", "echo out; echo err >&2"],
    "Env": ["A=1", "B=x y", "LATE=<&>"],
    "Labels": {"com.example.a": "l=a", "b": "é"},
}
OPTIONS: list[dict[str, str]] = [
    {},
    {"labels": "b,nope", "env": "A,B"},
    {"labels-regex": "^com", "labels": "b"},
    {"labels-regex": "^com"},
    {"env-regex": "^(LATE|B)$"},
    {"tag": "{{.Name}} {{.ImageName}}|{{.DaemonName}}"},
    {"tag": "{{.Command}}", "env": "A", "labels": "b"},
    {"tag": "{{upper .Name}} {{.Name | title}} {{json .Command}} {{truncate .Name 6}}"},
    {
        "tag": '{{index .ContainerLabels "com.example.a"}} {{- .ContainerLabels.b -}} {{index .ContainerLabels "no"}}'
    },
    {"tag": "{{(.ExtraAttributes nil).A}} {{(.ExtraAttributes nil).B}}", "env": "A"},
]
TIME = re.compile(rb'"time":"[^"]*"')


@pytest.mark.parametrize("options", OPTIONS)
def test_details(both: Both, options: dict[str, str]) -> None:
    body = {
        **CONFIG,
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": options}},
    }
    shown, written = [], []
    for side in (both.wherryd, both.peer):
        base = "/v1.45/containers/peer-details"
        made = call(side.socket, "POST", "/v1.45/containers/create?name=peer-details", body)
        assert made.status == 201, made.body
        try:
            call(side.socket, "POST", f"{base}/start")
            call(side.socket, "POST", f"{base}/wait")
            logs = [
                call(side.socket, "GET", f"{base}/logs?{stream}=1&details=1").body
                for stream in ("stdout", "stderr")
            ]
            shown.append(logs)
            path = Path(call(side.socket, "GET", f"{base}/json").json["LogPath"])
            written.append(sorted(TIME.sub(b"", line) for line in path.read_bytes().splitlines()))
        finally:
            call(side.socket, "DELETE", f"{base}?force=1")
    assert shown[0] == shown[1]
    assert written[0] == written[1]
    assert b"out\n" in shown[0][0]


def test_an_expression_that_is_none(both: Both) -> None:
    """dockerd takes it, and fails every start."""
    log = {"Type": "json-file", "Config": {"env-regex": "("}}
    ours, theirs = both(
        "POST", "/containers/create?name=peer-details", {**CONFIG, "HostConfig": {"LogConfig": log}}
    )
    both("DELETE", "/containers/peer-details")
    assert (ours.status, theirs.status) == (400, 201)
    assert "error parsing regexp" in ours.body["message"]
