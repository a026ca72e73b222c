"""Volumes that options mount, and parts of volumes, as by a real dockerd: bodies, texts, and what containers see."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def clean(both: Both) -> Iterator[None]:
    """No container and no volume after a test."""
    yield
    for side in (both.wherryd, both.peer):
        for each in call(side.socket, "GET", "/v1.45/containers/json?all=1").json:
            call(side.socket, "DELETE", f"/v1.45/containers/{each['Id']}?force=1&v=1")
        for each in call(side.socket, "GET", "/v1.45/volumes").json["Volumes"]:
            assert call(side.socket, "DELETE", f"/v1.45/volumes/{each['Name']}").status == 204


def same(both: Both, method: str, path: str, body: Any = None) -> Any:
    """One call to both, with the same status and body but for the data root; the body."""
    sides = (both.wherryd, both.wherryd.data_root), (both.peer, both.peer.root / "data")
    found = []
    for side, root in sides:
        answer = call(side.socket, method, f"/v1.45{path}", body)
        text = answer.body.decode().replace(str(root), "<root>")
        shown = json.loads(text) if text.strip() else None
        if isinstance(shown, dict):
            shown = {key: value for key, value in shown.items() if key not in ("CreatedAt", "Id")}
        found.append((answer.status, shown))
    assert found[0] == found[1]
    return found[0][1]


OPTIONS: list[dict[str, str]] = [
    {"type": "tmpfs"},
    {"device": "tmpfs"},
    {"type": "tmpfs", "o": "size=1m"},
    {"type": "tmpfs", "device": "x", "bad": "1"},
    {"size": "10m"},
    {"size": "x"},
    {"size": "0"},
    {"size": "-1"},
    {"size": "1.5GiB"},
    {"type": "tmpfs", "device": ""},
    {"type": "", "device": ""},
    {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7,noexec,ro"},
    {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,nope"},
    {"type": "nfs", "device": ":/x", "o": "addr=127.0.0.1,vers=4"},
    {"type": "nope", "device": "x"},
    {"type": "none", "device": "/nope", "o": "bind,ro"},
    {"type": "none", "device": "/proc", "o": "rbind,rslave"},
    {"type": "bind", "device": "/proc"},
    {"type": "cifs", "device": "//127.0.0.1/x", "o": "username=u,password=geheim,vers=3"},
    {},
]


@pytest.mark.parametrize("options", OPTIONS, ids=json.dumps)
def test_options(both: Both, options: dict[str, str]) -> None:
    """Made or refused, mounted or not, for the same reason."""
    same(both, "POST", "/volumes/create", {"Name": "opt", "DriverOpts": options})
    if both.wherryd.get("/volumes/opt").status != 200:
        return
    same(both, "GET", "/volumes/opt")
    same(both, "POST", "/volumes/create", {"Name": "opt", "DriverOpts": {"size": "0"}})
    host = {"Binds": ["opt:/o"], "NetworkMode": "none"}
    made = {"Image": "busybox", "Cmd": ["stat", "-c", "%u", "/o"], "HostConfig": host}
    same(both, "POST", "/containers/create?name=with", made)
    same(both, "POST", "/containers/with/start")
    both("POST", "/containers/with/wait")
    same(both, "DELETE", "/containers/with?force=1")


PARTS = ("d", "d/f", "rel", "rel/e", "d/../d", "nope", "abs", "up", "..", "/d", "d/../../x", "")


@pytest.mark.parametrize("part", PARTS)
def test_parts(both: Both, part: str) -> None:
    make = "mkdir -p /x/d/e; echo hi >/x/d/f; ln -s /etc /x/abs; ln -s d /x/rel; ln -s ../.. /x/up"
    shown = []
    for side in (both.wherryd, both.peer):
        side.docker("run", "--rm", "--net", "none", "-v", "parts:/x", "busybox", "sh", "-c", make)
    mount = {"Type": "volume", "Source": "parts", "Target": "/m", "VolumeOptions": {"Subpath": part}}
    host = {"Mounts": [mount], "NetworkMode": "none"}
    body = {"Image": "busybox", "Cmd": ["ls", "-ld", "/m", "/m/f"], "HostConfig": host}
    same(both, "POST", "/containers/create?name=with", body)
    same(both, "POST", "/containers/with/start")
    for side in (both.wherryd, both.peer):
        call(side.socket, "POST", "/v1.45/containers/with/wait")
        logs = side.docker("logs", "with", check=False)
        out = logs.stdout if isinstance(logs.stdout, str) else logs.stdout.decode()
        shown.append([line.split()[0] for line in out.splitlines()])
    assert shown[0] == shown[1]
