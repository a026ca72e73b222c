"""Volumes and the containers that use them, as by a real dockerd."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.comparison import judged, require
from tests.peer.ledger import Request
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

VERSIONS = ("1.24", "1.40", "1.43", "1.44", "1.45")


def alike(value: Any) -> Any:
    """A body with its lists in one order, for dockerd lists maps."""
    return _sorted(value)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def same(
    both: Both, method: str, path: str, body: Mapping[str, Any] | None = None, version: str = "1.45"
) -> Any:
    """One call to both, with the same answer; the body."""
    ours, theirs = both(method, path, body, version)
    require(judged(Request.of(method, path, body, version, None), ours, theirs))
    return alike(ours.body)


def filtered(path: str, filters: Mapping[str, Any]) -> str:
    return f"{path}?filters={quote(json.dumps(filters))}"


@pytest.fixture(autouse=True)
def clean(both: Both) -> Iterator[None]:
    """No container and no volume before and after."""
    yield
    for side in (both.wherryd, both.peer):
        if ids := call(side.socket, "GET", "/v1.45/containers/json?all=1").json:
            for each in ids:
                call(side.socket, "DELETE", f"/v1.45/containers/{each['Id']}?force=1&v=1")
        call(side.socket, "POST", "/v1.41/volumes/prune")
        assert call(side.socket, "GET", "/v1.45/volumes").json["Volumes"] == []


@pytest.fixture(scope="module")
def image(peer: Any, peer_wherryd: Any) -> str:
    """An image with content under /data, which is a volume of it."""
    layer = tar({"data/hello": b"hello\n", "data/sub/more": b"more\n", "plain/x": b"x"})
    made = docker_archive(
        Made(
            layers=[layer], tags=["peer-volumes:1"], said={"config": {"Volumes": {"/data": {}}, "Cmd": ["x"]}}
        )
    )
    for side in (peer_wherryd, peer):
        assert call(side.socket, "POST", "/v1.45/images/load?quiet=1", made).status == 200
    return "peer-volumes:1"


CREATES: list[dict[str, Any]] = [
    {},
    {"Name": "va"},
    {"Name": "va", "Labels": {}, "DriverOpts": {}},
    {"Name": "va", "Labels": {"a": "b"}, "Driver": "local"},
    {"Name": "va", "Labels": None, "DriverOpts": None},
    {"Labels": {"a": "b"}},
    {"Name": "x"},
    {"Name": "a/b"},
    {"Name": ".va"},
    {"Name": "va", "DriverOpts": {"foo": "1"}},
    {"Name": "va", "ClusterVolumeSpec": {}},
    {"Name": 5},
    {"Name": "va", "Labels": {"a": 1}},
]


@pytest.mark.parametrize("body", CREATES, ids=json.dumps)
@pytest.mark.parametrize("version", ["1.24", "1.45"])
def test_create(both: Both, body: dict[str, Any], version: str) -> None:
    same(both, "POST", "/volumes/create", body, version)
    same(both, "GET", "/volumes", version=version)


def test_create_again_shows_the_first(both: Both) -> None:
    same(both, "POST", "/volumes/create", {"Name": "va", "Labels": {"a": "b"}})
    shown = same(both, "POST", "/volumes/create", {"Name": "va", "Labels": {"c": "d"}})
    assert shown["Labels"] == {"a": "b"}


@pytest.mark.parametrize("version", VERSIONS)
def test_inspect_and_remove(both: Both, version: str) -> None:
    same(both, "POST", "/volumes/create", {"Name": "va"}, version)
    same(both, "GET", "/volumes/va", version=version)
    for path in ("/volumes/nope", "/volumes/a%20b", "/volumes/", "/volumes/v"):
        same(both, "GET", path, version=version)
    for path in ("va", "va", "nope", "nope?force=1", "nope?force=x", "nope?force=0", "a%2fb"):
        same(both, "DELETE", f"/volumes/{path}", version=version)


def test_updates_are_for_swarms(both: Both) -> None:
    same(both, "POST", "/volumes/create", {"Name": "va"})
    for path in ("va", "va?version=1", "nope"):
        for version in ("1.41", "1.45"):
            same(both, "PUT", f"/volumes/{path}", {}, version)
    same(both, "PUT", "/volumes/va", {"Spec": None})


FILTERS: list[dict[str, Any]] = [
    {},
    {"dangling": ["true"]},
    {"dangling": ["false"]},
    {"dangling": ["x"]},
    {"dangling": []},
    {"driver": ["local"]},
    {"driver": ["loc"]},
    {"name": ["va"]},
    {"name": ["v"]},
    {"name": ["^vb$"]},
    {"label": ["a"]},
    {"label": ["a=c"]},
    {"label": ["a=b"], "name": ["vb"]},
    {"label!": ["a"]},
    {"nope": ["x"]},
]


def test_list_filters(both: Both) -> None:
    same(both, "POST", "/volumes/create", {"Name": "va", "Labels": {"a": "b"}})
    same(both, "POST", "/volumes/create", {"Name": "vb"})
    both(
        "POST",
        "/containers/create",
        {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["vb:/x"]}},
    )
    for filters in FILTERS:
        same(both, "GET", filtered("/volumes", filters))
    for raw in ("x", "%7B", "[]"):
        same(both, "GET", f"/volumes?filters={raw}")


PRUNES: list[tuple[str, dict[str, Any]]] = [
    ("1.45", {}),
    ("1.45", {"all": ["true"]}),
    ("1.45", {"all": ["1"], "label": ["a"]}),
    ("1.45", {"all": ["x"]}),
    ("1.45", {"all": ["true"], "label!": ["a"]}),
    ("1.45", {"dangling": ["true"]}),
    ("1.45", {"label": ["zzz"]}),
    ("1.42", {}),
    ("1.41", {}),
    ("1.41", {"all": ["true"]}),
    ("1.41", {"label": ["a=b"]}),
    ("1.41", {"nope": ["x"]}),
]


@pytest.mark.parametrize(("version", "filters"), PRUNES, ids=str)
def test_prune(both: Both, version: str, filters: dict[str, Any]) -> None:
    same(both, "POST", "/volumes/create", {"Name": "va", "Labels": {"a": "b"}})
    same(both, "POST", "/volumes/create", {"Name": "vb"})
    same(both, "POST", "/volumes/create", {"Labels": {"a": "b"}})
    same(both, "POST", "/volumes/create", {"Name": "used"})
    both(
        "POST",
        "/containers/create",
        {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["used:/x"]}},
    )
    same(both, "POST", filtered("/volumes/prune", filters), version=version)
    same(both, "GET", "/volumes")


def test_prune_that_says_both(both: Both) -> None:
    """dockerd adds all=true for old clients, and then finds two values; in which order, a map decides."""
    ours, theirs = both("POST", filtered("/volumes/prune", {"all": ["false"]}), version="1.41")
    assert ours.status == theirs.status == 400
    assert "only one value is expected" in ours.body["message"]
    assert "only one value is expected" in theirs.body["message"]


ALL_KINDS = {
    "Binds": ["va:/va", "/anon", "vro:/vro:ro", "vnc:/etc:nocopy,z"],
    "Mounts": [
        {"Type": "volume", "Source": "vm", "Target": "/vm", "ReadOnly": True},
        {"Type": "volume", "Target": "/vma", "VolumeOptions": {"Labels": {"l": "1"}}},
        {
            "Type": "volume",
            "Source": "vx",
            "Target": "/data/sub",
            "VolumeOptions": {"NoCopy": True, "Labels": {"k": "v"}, "DriverConfig": {"Name": "local"}},
        },
    ],
}


@pytest.mark.parametrize("version", ["1.24", "1.43", "1.45"])
def test_mounts_of_a_container(both: Both, image: str, version: str) -> None:
    body = {"Image": image, "Volumes": {"/cv": {}, "/va": {}}, "HostConfig": ALL_KINDS}
    ours, theirs = both("POST", "/containers/create?name=c1", body, version)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    shown = [answer.body for answer in both("GET", "/containers/c1/json", version=version)]
    for field in ("Mounts",):
        assert alike(shown[0][field]) == alike(shown[1][field])
    for field in ("Binds", "Mounts", "VolumeDriver", "VolumesFrom"):
        assert shown[0]["HostConfig"].get(field) == shown[1]["HostConfig"].get(field)
    assert shown[0]["Config"]["Volumes"] == shown[1]["Config"]["Volumes"]
    listed = [answer.body for answer in both("GET", "/containers/json?all=1", version=version)]
    assert alike(_sourceless(listed[0][0]["Mounts"])) == alike(_sourceless(listed[1][0]["Mounts"]))
    same(both, "GET", "/volumes")
    for filters in ({"volume": ["va"]}, {"volume": ["/cv"]}, {"volume": ["nope"]}):
        found = [len(answer.body) for answer in both("GET", filtered("/containers/json", filters) + "&all=1")]
        assert found[0] == found[1]
    used = [answer.body["Volumes"] for answer in both("GET", "/system/df?type=volume")]
    assert alike(used[0]) == alike(used[1])
    same(both, "DELETE", "/volumes/va")
    same(both, "DELETE", "/volumes/va?force=1")
    same(both, "DELETE", "/containers/c1?v=1")
    same(both, "GET", "/volumes")


def _sourceless(mounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """dockerd's list does not know the source of an image's volume until its next start; ours does."""
    return [{**mount, "Source": ""} if not mount["Mode"] else mount for mount in mounts]


@pytest.mark.parametrize("spec", ["c1", "c1:ro", "c1:rw", "c1:z"])
def test_volumes_from(both: Both, image: str, spec: str) -> None:
    both("POST", "/containers/create?name=c1", {"Image": image, "HostConfig": ALL_KINDS})
    body = {"Image": image, "HostConfig": {"VolumesFrom": [spec], "Binds": ["other:/data:ro"]}}
    both("POST", "/containers/create?name=c2", body)
    shown = [alike(answer.body["Mounts"]) for answer in both("GET", "/containers/c2/json")]
    assert shown[0] == shown[1]
    ours, theirs = both("DELETE", "/volumes/va")
    assert ours.body == {"message": "remove va: volume is in use - [<id>, <id>]"}
    # dockerd forgets who took it over, and would remove it under a running container.
    assert theirs.body == {"message": "remove va: volume is in use - [<id>]"}
    same(both, "DELETE", "/containers/c1?v=1")
    same(both, "DELETE", "/containers/c2?v=1")
    same(both, "GET", "/volumes")


BAD_HOSTS: list[dict[str, Any]] = [
    {"VolumesFrom": ["nope"]},
    {"VolumesFrom": [""]},
    {"VolumesFrom": ["c1:bad"]},
    {"Binds": ["x:/a"]},
    {"Binds": ["bad/:/a"]},
    {"Binds": ["v1:/a:bad"]},
    {"Binds": ["v1:a"]},
    {
        "Mounts": [
            {
                "Type": "volume",
                "Source": "v3",
                "Target": "/a",
                "VolumeOptions": {"DriverConfig": {"Options": {"foo": "x"}}},
            }
        ]
    },
    {
        "Mounts": [
            {"Type": "volume", "Source": "v3", "Target": "/a"},
            {"Type": "volume", "Source": "v4", "Target": "/a"},
        ]
    },
    {"Mounts": [{"Type": "volume", "Source": "v3"}]},
    {"Binds": ["v3:/a"], "Mounts": [{"Type": "volume", "Source": "v4", "Target": "/a"}]},
]


def test_a_driver_that_nobody_has(both: Both, image: str) -> None:
    """Asked once: dockerd looks for a plugin of that name for 15 seconds, and lets no other look meanwhile."""
    host = {"VolumeDriver": "nope", "Binds": ["v1:/a"]}
    same(both, "POST", "/containers/create", {"Image": image, "HostConfig": host})


@pytest.mark.parametrize("host", BAD_HOSTS, ids=json.dumps)
def test_creates_that_fail(both: Both, image: str, host: dict[str, Any]) -> None:
    same(both, "POST", "/containers/create", {"Image": image, "HostConfig": host})
    assert both.wherryd.get("/volumes").json["Volumes"] == []  # dockerd leaves those that it has made already


def test_a_volume_over_a_file(both: Both) -> None:
    """dockerd blames itself, and names its own directory."""
    for host in ({"Binds": ["v1:/bin/busybox"]}, {"Binds": ["/bin/busybox"]}):
        ours, theirs = both(
            "POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": host}
        )
        assert (ours.status, theirs.status) == (400, 500)
    body = {"Image": "busybox", "Cmd": ["true"], "Volumes": {"/bin/busybox": {}}}
    ours, theirs = both("POST", "/containers/create", body)
    text = "cannot mount volume over existing file, file exists "
    assert ours.body["message"] == f"{text}/bin/busybox"
    assert theirs.body["message"].startswith(text)


LOOK = "ls -lan /v /v/* | grep -v ' [.]*$'; stat -c '%a %u %g' /v"


def test_what_a_volume_is_filled_with(both: Both) -> None:
    """Owners, modes, links and the directory's own owner come from the image, into empty volumes alone."""
    made = (
        "mkdir -p /d/sub && echo hi >/d/f && chown 12:34 /d/f && chmod 6750 /d/f && ln -s f /d/l && chown 5:6 /d &&"
        " chmod 1770 /d && chmod 700 /d/sub && ln -s /d /link && mkfifo /d/p && ln /d/f /d/h"
    )
    looks = []
    for side in (both.wherryd, both.peer):
        side.docker("run", "--name", "maker", "--net", "none", "busybox", "sh", "-c", made)
        archive = side.docker("export", "maker").stdout if side is both.peer else b""
        if archive:
            break
    for side in (both.wherryd, both.peer):
        call(side.socket, "POST", "/v1.45/images/create?fromSrc=-&repo=peer-filled&tag=1", archive)
        run = ("run", "--rm", "--net", "none", "-v")
        look = [
            _text(side.docker(*run, f"{name}:/v", "busybox", "sh", "-c", LOOK)) for name in ("untouched",)
        ]
        for place in ("/d", "/link", "/nothing", "/d/sub"):
            volume = "of" + place.replace("/", "-")
            side.docker(*run, f"{volume}:{place}", "peer-filled:1", "true")
            look.append(_text(side.docker(*run, f"{volume}:/v", "busybox", "sh", "-c", LOOK)))
        side.docker(*run, "taken:/v", "busybox", "touch", "/v/mine")
        side.docker(*run, "taken:/d", "peer-filled:1", "true")
        side.docker(*run, "bare:/d:nocopy", "peer-filled:1", "true")
        look += [
            _text(side.docker(*run, f"{name}:/v", "busybox", "sh", "-c", LOOK)) for name in ("taken", "bare")
        ]
        looks.append([re.sub(r" [A-Z][a-z]{2} [ \d]\d +[\d:]+ ", " <time> ", each) for each in look])
    assert looks[0] == looks[1]
    assert "12" in looks[0][1]
    assert "mine" in looks[0][-2]
    both("DELETE", "/images/peer-filled:1?force=1")


def _text(done: Any) -> str:
    return done.stdout if isinstance(done.stdout, str) else done.stdout.decode()


def test_events(both: Both) -> None:
    """The same actions with the same attributes; in which order one container's volumes are mounted, a map decides."""
    time.sleep(1)  # `since` is of whole seconds, and the tests before had events too
    since = int(time.time())
    both("POST", "/volumes/create", {"Name": "ev-made"})
    both("DELETE", "/volumes/ev-made")
    for side in (both.wherryd, both.peer):
        side.docker("run", "--rm", "--net", "none", "-v", "ev:/e:ro", "-v", "/anonymous", "busybox", "true")
        side.docker("volume", "rm", "ev")
        side.docker("volume", "prune", "-f")
    told = []
    for side in (both.wherryd, both.peer):
        filters = quote(json.dumps({"type": ["volume", "container"]}))
        path = f"/v1.45/events?since={since}&until={int(time.time()) + 1}&filters={filters}"
        events = [json.loads(line) for line in call(side.socket, "GET", path).body.splitlines()]
        told.append([(each["Type"], each["Action"], _hidden(each["Actor"])) for each in events])
    assert [kind[:2] for kind in told[0]] == [kind[:2] for kind in told[1]]
    assert sorted(told[0], key=str) == sorted(told[1], key=str)


def _hidden(actor: dict[str, Any]) -> Any:
    actor["Attributes"].pop("execDuration", None)  # a second more or less
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", json.dumps(actor, sort_keys=True))
    return re.sub(r'"name": "[a-z]+_[a-z]+\d*"', '"name": "<name>"', text)
