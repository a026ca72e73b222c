"""Containers in networks, as by a real dockerd: created, started, connected and disconnected."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.comparison import differences, require, same
from tests.peer.ledger import VERSIONS
from tests.peer.lines import blocks, found
from tests.peer.masks import mask
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

SLEEPS = {"Image": "busybox", "Cmd": ["sleep", "1000"]}
NETWORKS: list[dict[str, Any]] = [
    {"Name": "na", "IPAM": {"Config": [{"Subnet": "10.50.0.0/24", "Gateway": "10.50.0.1"}]}},
    {"Name": "nb", "IPAM": {"Config": [{"Subnet": "10.51.0.0/24", "IPRange": "10.51.0.128/25"}]}},
    {
        "Name": "n6",
        "EnableIPv6": True,
        "IPAM": {"Config": [{"Subnet": "10.52.0.0/24"}, {"Subnet": "fd00:52::/64"}]},
    },
]


@pytest.fixture(scope="module", autouse=True)
def networks(peer: Any, peer_wherryd: Any) -> Iterator[None]:
    """The networks na, nb and n6 (with IPv6) on both sides."""
    for side in (peer, peer_wherryd):
        for body in NETWORKS:
            assert call(side.socket, "POST", "/v1.45/networks/create", body).status == 201
    yield
    for side in (peer, peer_wherryd):
        for body in NETWORKS:
            assert call(side.socket, "DELETE", f"/v1.45/networks/{body['Name']}").status == 204


@pytest.fixture(autouse=True)
def clean(both: Both) -> Iterator[None]:
    """No container after a test."""
    yield
    for side in (both.wherryd, both.peer):
        for container in call(side.socket, "GET", "/v1.45/containers/json?all=1").json:
            assert call(side.socket, "DELETE", f"/v1.45/containers/{container['Id']}?force=1").status == 204


EVERYWHERE = """
POST /containers/create?name=cc {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"na"},"NetworkingConfig":{"EndpointsConfig":{"na":{"Aliases":["al","al"],"IPAMConfig":{"IPv4Address":"10.50.0.77"}}}}}
GET /containers/cc/json
POST /networks/nb/connect {"Container":"cc","EndpointConfig":{"Aliases":["late"],"DriverOpts":{"a":"b"}}}
POST /networks/nb/connect {"Container":"cc"}
POST /networks/later/connect {"Container":"cc"}
POST /networks/host/connect {"Container":"cc"}
POST /networks/none/connect {"Container":"cc"}
GET /containers/cc/json
POST /networks/later/disconnect {"Container":"cc"}
POST /networks/later/disconnect {"Container":"cc"}
POST /networks/host/disconnect {"Container":"cc"}
POST /containers/cc/start
GET /containers/cc/json
GET /containers/json
GET /networks/na
POST /networks/bridge/connect {"Container":"cc"}
POST /networks/n6/connect {"Container":"cc","EndpointConfig":{"IPAMConfig":{"IPv6Address":"fd00:52::99"}}}
POST /networks/n6/connect {"Container":"cc"}
POST /networks/host/connect {"Container":"cc"}
POST /networks/none/connect {"Container":"cc"}
POST /networks/nope/connect {"Container":"cc"}
GET /containers/cc/json
POST /networks/na/disconnect {"Container":"cc","Force":true}
POST /networks/na/disconnect {"Container":"cc"}
POST /networks/nope/disconnect {"Container":"cc"}
POST /networks/host/disconnect {"Container":"cc"}
GET /containers/cc/json
POST /containers/cc/rename?name=dd
GET /containers/dd/json
POST /containers/dd/pause
POST /networks/nb/disconnect {"Container":"dd"}
POST /networks/na/connect {"Container":"dd"}
POST /containers/dd/unpause
GET /containers/dd/json
POST /containers/dd/stop?t=0
GET /containers/dd/json
POST /networks/na/disconnect {"Container":"dd"}
POST /networks/n6/disconnect {"Container":"dd"}
POST /networks/bridge/disconnect {"Container":"dd"}
POST /networks/bridge/disconnect {"Container":"dd"}
GET /containers/dd/json
POST /containers/dd/start
GET /containers/dd/json
POST /networks/na/connect {"Container":"dd"}
GET /containers/dd/json
POST /networks/na/disconnect {"Container":"dd"}
GET /containers/dd/json
POST /networks/na/connect {"Container":"nobody"}
POST /networks/nope/connect {"Container":"nobody"}
POST /networks/na/disconnect {"Container":"nobody"}
POST /networks/na/disconnect {"Container":"nobody","Force":true}
POST /networks/nope/disconnect {"Container":"nobody","Force":true}
POST /networks/na/connect {"Container":""}
POST /networks/na/connect {}
POST /networks/na/connect {
POST /networks/na/connect
POST /networks/na/connect {"Container":5}
POST /networks/na/disconnect {"Container":"dd","Force":"x"}
"""  # noqa: E501


@pytest.mark.parametrize("version", VERSIONS)
def test_everywhere(both: Both, version: str) -> None:
    require(list(found(both, blocks(EVERYWHERE)[0], version)))


SAID = """
POST /containers/create?name=cc {"Image":"busybox","Cmd":["sleep","1000"]}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"NetworkID":"nope"}}
GET /containers/cc/json
POST /containers/cc/start
POST /networks/na/disconnect {"Container":"cc"}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"MacAddress":"zz"}}
POST /networks/later/connect {"Container":"cc","EndpointConfig":{"MacAddress":"zz"}}
POST /networks/later/disconnect {"Container":"cc"}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"IPAMConfig":{"LinkLocalIPs":["10.50.0.9"]}}}
POST /containers/cc/start
POST /networks/na/disconnect {"Container":"cc"}
POST /containers/cc/start
GET /containers/cc/json
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"NetworkID":"nope"}}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"MacAddress":"zz"}}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"MacAddress":"02-42-ac-11-00-99"}}
GET /containers/cc/json
POST /networks/na/disconnect {"Container":"cc"}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"MacAddress":"02:00:5e:10:00:00:00:01"}}
GET /containers/cc/json
POST /networks/na/disconnect {"Container":"cc"}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"MacAddress":"02:00:5e:10:00:00:01"}}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"NetworkID":"n6"}}
GET /containers/cc/json
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"IPAMConfig":{"LinkLocalIPs":["10.50.0.9"]}}}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"IPAMConfig":{"IPv4Address":"0.0.0.0"}}}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"IPAMConfig":{"IPv6Address":"::"}}}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"IPAMConfig":{"IPv6Address":"fe80::1%eth0"}}}
POST /networks/na/connect {"Container":"cc","EndpointConfig":{"IPAMConfig":{"IPv4Address":"::ffff:10.50.0.9"}}}
GET /containers/cc/json
POST /containers/create?name=again {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"n6"},"NetworkingConfig":{"EndpointsConfig":{"n6":{},"na":{"NetworkID":"n6"}}}}
POST /containers/again/start
POST /containers/create?name=other {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"na"},"NetworkingConfig":{"EndpointsConfig":{"na":{"NetworkID":"nope"}}}}
GET /containers/other/json
POST /containers/other/start
POST /containers/create?name=bad {"Image":"busybox","NetworkingConfig":{"EndpointsConfig":{"na":{"IPPrefixLen":"x"}}}}
POST /containers/create?name=loop {"Image":"busybox","HostConfig":{"NetworkMode":"container:loop"}}
POST /containers/loop/start
GET /containers/loop/json
"""  # noqa: E501


def test_what_only_answers_tell_is_read_all_the_same(both: Both) -> None:
    """The network's ID counts; the rest has to be of its type. A loop is told."""
    require(list(found(both, blocks(SAID)[0], "1.45")))


ENDPOINTS: list[tuple[str, dict[str, Any]]] = [
    ("", {"na": {}}),
    ("default", {"default": {}}),
    ("bridge", {"bridge": {}, "na": {}}),
    ("na", {"nb": {}}),
    ("na", {"na": {}, "nb": {}, "n6": {}}),
    ("na", {"na": None}),
    ("na", {"na": {"IPAMConfig": {"IPv4Address": "10.50.0.7"}, "MacAddress": "02:00:00:00:00:07"}}),
    ("na", {"na": {"MacAddress": "02-00-00-00-00-07"}}),
    (
        "n6",
        {"n6": {"IPAMConfig": {"IPv6Address": "fd00:52::7", "LinkLocalIPs": ["169.254.3.4", "fe80::77"]}}},
    ),
    ("na", {"na": {"Aliases": ["b", "a", "b"], "Links": ["x:y", "z"], "DriverOpts": {"a": "b"}}}),
    ("none", {"none": {}}),
    ("host", {"host": {}}),
    ("nope", {}),
    ("nope", {"nope": {"Aliases": ["a"]}}),
    ("nb", {"nb": {"IPAMConfig": {"IPv4Address": "10.51.0.9"}}}),
]
"""Created, and started where that is no matter of chance in dockerd."""


@pytest.mark.parametrize(("mode", "endpoints"), ENDPOINTS, ids=str)
def test_create_and_start(both: Both, mode: str, endpoints: dict[str, Any]) -> None:
    body = {
        **SLEEPS,
        "HostConfig": {"NetworkMode": mode},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }
    told = differences(both, "POST", "/containers/create?name=cc", body)
    told += differences(both, "GET", "/containers/cc/json")
    told += differences(both, "POST", "/containers/cc/start")
    told += differences(both, "GET", "/containers/cc/json")
    told += differences(both, "POST", "/containers/cc/stop?t=0")
    told += differences(both, "GET", "/containers/cc/json")
    require(told)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("na", {"na": {"IPAMConfig": {"IPv4Address": "10.51.0.9"}}}),
    ("na", {"na": {"IPAMConfig": {"IPv4Address": "x"}}}),
    ("na", {"na": {"IPAMConfig": {"IPv4Address": "fd00::1"}}}),
    ("na", {"na": {"IPAMConfig": {"IPv6Address": "fd00::1"}}}),
    ("n6", {"n6": {"IPAMConfig": {"IPv6Address": "fd00:53::1", "IPv4Address": "10.50.0.1"}}}),
    ("n6", {"n6": {"IPAMConfig": {"IPv6Address": "10.52.0.9", "LinkLocalIPs": ["x", "y"]}}}),
    ("bridge", {"bridge": {"IPAMConfig": {"IPv4Address": "172.17.0.9"}, "Aliases": ["a"]}}),
    ("na", {"na": {"IPAMConfig": {"IPv4Address": 5}}}),
    ("na", {"na": {"Aliases": "x"}}),
    ("na", {"na": []}),
]


@pytest.mark.parametrize(("mode", "endpoints"), BAD, ids=str)
def test_bad_endpoints(both: Both, mode: str, endpoints: dict[str, Any]) -> None:
    """Refused when a container is created with them, and when one is connected with them, running or not."""
    (network, asked), *_ = endpoints.items()
    body = {
        **SLEEPS,
        "HostConfig": {"NetworkMode": mode},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }
    told = differences(both, "POST", "/containers/create?name=bad", body)
    alone = {**SLEEPS, "HostConfig": {"NetworkMode": "na" if network != "na" else "nb"}}
    told += differences(both, "POST", "/containers/create?name=cc", alone)
    for _ in range(2):
        connect = {"Container": "cc", "EndpointConfig": asked}
        told += differences(both, "POST", f"/networks/{network}/connect", connect)
        told += differences(both, "POST", "/containers/cc/start")
    told += differences(both, "GET", "/containers/cc/json")
    require(told)


@pytest.mark.parametrize(
    "endpoints",
    [
        {"na": {"MacAddress": "zz", "IPAMConfig": {"IPv4Address": "x"}}},
        {"nope": {"IPAMConfig": {"IPv4Address": "x"}}},
        {
            "na": {"MacAddress": "zz"},
            "nb": {"IPAMConfig": {"IPv4Address": "10.50.0.3", "LinkLocalIPs": ["x"]}},
        },
        {"na": {"Links": ["a:b:c"]}},
        {"na": {"IPAMConfig": {"IPv4Address": "10.50.0.1"}}},
    ],
    ids=str,
)
def test_endpoints_that_cannot_be(both: Both, endpoints: dict[str, Any]) -> None:
    """Some are found out by the start alone."""
    body = {
        **SLEEPS,
        "HostConfig": {"NetworkMode": "na"},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }
    told = differences(both, "POST", "/containers/create?name=cc", body)
    told += differences(both, "POST", "/containers/cc/start")
    require(told)


LINKS = """
POST /containers/create?name=target {"Image":"busybox","Hostname":"thost","Cmd":["sleep","1000"],"ExposedPorts":{"80/tcp":{}}}
POST /containers/target/start
POST /containers/create?name=of-user {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"na"}}
POST /containers/create?name=linked {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"Links":["target:one-x"]}}
GET /containers/linked/json
POST /containers/linked/start
GET /containers/linked/json
POST /containers/target/rename?name=aim
POST /containers/linked/rename?name=other
GET /containers/other/json
POST /containers/other/stop?t=0
POST /containers/aim/stop?t=0
POST /containers/other/start
GET /containers/other/json
POST /containers/aim/start
POST /containers/other/start
POST /containers/create?name=l1 {"Image":"busybox","HostConfig":{"Links":["nobody:x"]}}
POST /containers/create?name=l2 {"Image":"busybox","HostConfig":{"Links":["a:b:c"]}}
POST /containers/create?name=l3 {"Image":"busybox","HostConfig":{"Links":[""]}}
POST /containers/create?name=l4 {"Image":"busybox","HostConfig":{"Links":["aim"],"NetworkMode":"host"}}
POST /containers/create?name=l5 {"Image":"busybox","HostConfig":{"Links":["aim"],"NetworkMode":"container:aim"}}
POST /containers/create?name=l6 {"Image":"busybox","HostConfig":{"Links":["aim:a"],"NetworkMode":"na"}}
GET /containers/l6/json
POST /containers/create?name=l7 {"Image":"busybox","HostConfig":{"Links":["of-user:u"]}}
POST /containers/l7/start
POST /containers/create?name=l8 {"Image":"busybox","HostConfig":{"Links":["/aim:/other/again","aim:again"]}}
GET /containers/l8/json
"""  # noqa: E501


def test_links(both: Both) -> None:
    require(list(found(both, blocks(LINKS)[0], "1.45")))


LINK_NAMES = """
POST /containers/create?name=zz {"Image":"busybox","Cmd":["sleep","1000"],"ExposedPorts":{"80/tcp":{}}}
POST /containers/create?name=target {"Image":"busybox","Cmd":["sleep","1000"]}
POST /containers/zz/start
POST /containers/target/start
POST /containers/create?name=parent {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"Links":["zz:x","target:y","zz:z"]}}
POST /containers/create?name=above {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"Links":["parent:up","parent/x:deep"]}}
POST /containers/create?name=of-user {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"Links":["zz:ux"],"NetworkMode":"na"}}
POST /containers/parent/start
GET /containers/json?all=1
GET /containers/json?all=1&filters={"name":["parent/x"]}
GET /containers/json?all=1&filters={"name":["^/zz$"]}
GET /containers/json?all=1&since=parent/x&filters={"since":["parent/x"]}
GET /containers/parent/x/json
GET /containers/above/deep/json
GET /containers/above/up/x/json
GET /containers/of-user/ux/json
GET /containers/parent/nope/json
GET /containers/nope/x/json
POST /containers/zz/rename?name=parent/x
POST /containers/zz/rename?name=yy
POST /containers/parent/rename?name=father
GET /containers/json?all=1
GET /containers/parent/x/json
GET /containers/father/x/json
POST /containers/father/y/stop?t=0
POST /containers/father/y/start
DELETE /containers/father?link=1
DELETE /containers/nope?link=1
DELETE /containers/father/nope?link=1
DELETE /containers/nope/x?link=1
DELETE /containers/father/x?link=1&force=1
DELETE /containers/father/x?link=1
GET /containers/json?all=1
DELETE /containers/father/z?link=1
GET /containers/father/json
GET /containers/father/x/json
POST /containers/father/restart?t=0
GET /containers/father/json
DELETE /containers/father/y?force=1
GET /containers/json?all=1
GET /containers/father/json
DELETE /containers/father/y?link=1
DELETE /containers/father?force=1
GET /containers/json?all=1
GET /containers/above/json
"""  # noqa: E501


def test_link_names(both: Both) -> None:
    require(list(found(both, blocks(LINK_NAMES)[0], "1.45")))


SHARED = """
POST /containers/create?name=owner {"Image":"busybox","Cmd":["sleep","1000"]}
POST /containers/create?name=guest {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"container:owner"},"NetworkingConfig":{"EndpointsConfig":{"na":{}}}}
GET /containers/guest/json
POST /containers/owner/start
POST /containers/guest/start
POST /networks/na/connect {"Container":"guest"}
POST /networks/nope/connect {"Container":"guest"}
POST /networks/na/disconnect {"Container":"guest"}
GET /containers/guest/json
POST /containers/create?name=hosted {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"host"}}
POST /networks/na/connect {"Container":"hosted"}
POST /containers/hosted/start
POST /networks/na/connect {"Container":"hosted"}
POST /networks/host/connect {"Container":"hosted"}
POST /networks/host/disconnect {"Container":"hosted"}
POST /networks/na/disconnect {"Container":"hosted"}
GET /containers/hosted/json
POST /containers/create?name=alone {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"none"}}
POST /networks/na/connect {"Container":"alone"}
POST /containers/alone/start
POST /networks/na/connect {"Container":"alone"}
POST /networks/none/connect {"Container":"alone"}
POST /networks/none/disconnect {"Container":"alone"}
GET /containers/alone/json
POST /networks/na/connect {"Container":"alone"}
GET /containers/alone/json
"""  # noqa: E501


def test_stacks_that_are_not_alone(both: Both) -> None:
    require(list(found(both, blocks(SHARED)[0], "1.45")))


def test_a_network_that_goes(both: Both) -> None:
    """A stopped container does not hold its network."""
    told = []
    for method, path, body in (
        ("POST", "/networks/create", {"Name": "gone"}),
        ("POST", "/containers/create?name=cc", {**SLEEPS, "HostConfig": {"NetworkMode": "gone"}}),
        ("POST", "/containers/cc/start", None),
        ("POST", "/containers/cc/stop?t=0", None),
        ("DELETE", "/networks/gone", None),
        ("POST", "/containers/cc/start", None),
        ("GET", "/containers/cc/json", None),
        ("POST", "/networks/gone/disconnect", {"Container": "cc"}),
        ("GET", "/containers/cc/json", None),
    ):
        told += differences(both, method, path, body)
    require(told)


def test_by_id_and_prefix(both: Both) -> None:
    """The mode keeps what was asked until the start, and the record goes by the network's name."""
    shown = [call(side.socket, "GET", "/v1.45/networks/na").json["Id"] for side in (both.wherryd, both.peer)]
    told = []
    for length in (64, 12):
        sockets = (both.wherryd.socket, both.peer.socket)
        for socket, identity in zip(sockets, shown, strict=True):
            mode = {"HostConfig": {"NetworkMode": identity[:length]}}
            made = call(socket, "POST", f"/v1.45/containers/create?name=c{length}", {**SLEEPS, **mode})
            assert made.status == 201
        told += differences(both, "GET", f"/containers/c{length}/json")
        told += differences(both, "POST", f"/containers/c{length}/start")
        told += differences(both, "GET", f"/containers/c{length}/json")
    ids = {"NETWORK": (shown[0][:12], shown[1][:12])}
    told += differences(both, "POST", "/networks/NETWORK/disconnect", {"Container": "c64"}, ids=ids)
    told += differences(both, "POST", "/networks/NETWORK/connect", {"Container": "c64"}, ids=ids)
    told += differences(both, "GET", "/containers/c64/json")
    require(told)


def test_events(both: Both) -> None:
    """In which order a container that ends leaves its networks is chance in dockerd."""
    time.sleep(1)  # `since` is of whole seconds, and the tests before had events too
    since = int(time.time())
    for path, body in (
        ("/containers/create?name=cc", {**SLEEPS, "HostConfig": {"NetworkMode": "na"}}),
        ("/networks/nb/connect", {"Container": "cc"}),
        ("/networks/nb/disconnect", {"Container": "cc"}),
        ("/containers/cc/start", None),
        ("/networks/nb/connect", {"Container": "cc"}),
        ("/containers/cc/stop?t=0", None),
    ):
        same(both, "POST", path, body)
    filters = quote(json.dumps({"type": ["network"]}))
    path = f"/v1.45/events?since={since}&until={int(time.time()) + 1}&filters={filters}"
    told = []
    for side in (both.wherryd, both.peer):
        events = [json.loads(line) for line in call(side.socket, "GET", path).body.splitlines()]
        told.append([(each["Action"], mask(json.dumps(each["Actor"]["Attributes"]))) for each in events])
    assert told[0][:-2] == told[1][:-2]
    assert sorted(told[0]) == sorted(told[1])
