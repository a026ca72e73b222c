"""Networks and their life, as by a real dockerd."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.comparison import JSON, differences, require, same
from tests.peer.ledger import VERSIONS
from tests.peer.lines import blocks, found
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def clean(both: Both) -> Iterator[None]:
    """No network of ours after a test: those made from a config-only network go before it."""
    yield
    for side in (both.wherryd, both.peer):
        made = call(
            side.socket, "GET", f"/v1.45/networks?filters={quote(json.dumps({'type': ['custom']}))}"
        ).json
        for network in sorted(made, key=lambda each: bool(each["ConfigOnly"])):
            assert call(side.socket, "DELETE", f"/v1.45/networks/{network['Id']}").status == 204


EVERYWHERE = """
POST /networks/create {"Name":"na","CheckDuplicate":true}
POST /networks/create {"Name":"nb","Driver":"bridge","Labels":{"a":"b","c":""},"Attachable":true,"Internal":true}
POST /networks/create {"Name":"nc","IPAM":{"Config":[{"Subnet":"10.87.0.0/24","Gateway":"10.87.0.9"}]}}
POST /networks/create {"Name":"na"}
POST /networks/create {"Name":"bridge"}
POST /networks/create {"Name":5}
POST /networks/create {
GET /networks
GET /networks?filters={"type":["custom"]}
GET /networks?filters={"label":["a=b"]}
GET /networks?filters={"dangling":["true"]}
GET /networks?filters={"dangling":["true","false"]}
GET /networks?filters={"nope":["x"]}
GET /networks/na
GET /networks/nb?scope=local
GET /networks/nc?verbose=true
GET /networks/nc?scope=swarm
GET /networks/nope
DELETE /networks/na
DELETE /networks/nb?force=1
DELETE /networks/na
DELETE /networks/bridge
DELETE /networks/a%20b
DELETE /networks/
POST /networks/prune?filters={"label":["nobody-has-it"]}
POST /networks/prune?filters={"until":["1h"]}
POST /networks/prune?filters={"label!":["x"]}
POST /networks/prune
POST /networks/prune?filters={"nope":["x"]}
POST /networks/prune?filters={"until":["x"]}
GET /networks
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_everywhere(both: Both, version: str) -> None:
    require(list(found(both, blocks(EVERYWHERE)[0], version)))


SUBNET = {"Subnet": "10.88.0.0/24"}
SIX = {"Subnet": "fd00:92::/64"}
CREATES: list[dict[str, Any]] = [
    {"Name": "n", "Labels": None, "Options": None, "IPAM": None, "ConfigFrom": None},
    {"Name": "n", "Labels": {}, "Options": {"foo": "bar"}},
    {"Name": "n", "IPAM": {}},
    {"Name": "n", "IPAM": {"Driver": "default", "Options": {"a": "b"}, "Config": []}},
    {"Name": "n", "IPAM": {"Options": {}}},
    {"Name": "n", "IPAM": {"Config": [SUBNET]}},
    {"Name": "n", "IPAM": {"Config": [SUBNET, {"Subnet": "10.93.0.0/16", "Gateway": "10.93.7.7"}]}},
    {"Name": "n", "IPAM": {"Config": [{**SUBNET, "IPRange": "10.88.0.128/25"}]}},
    {"Name": "n", "IPAM": {"Config": [{**SUBNET, "AuxiliaryAddresses": {"router": "10.88.0.5"}}]}},
    {"Name": "n", "EnableIPv6": True, "IPAM": {"Config": [SUBNET, {**SIX, "Gateway": "fd00:92::7"}]}},
    {"Name": "n", "Scope": "local"},
    {"Name": "n", "Scope": "odd"},
    {"Name": "n", "ConfigFrom": {"Network": ""}},
    {"Name": "n", "Unknown": 1, "name": "other"},
    {"Name": "container"},
    {"Name": "ingress"},
    {"Name": "a b"},
    {"Name": "a/b"},
    {"Name": "-n"},
    {"Name": "ü"},
    {"Name": "0123456789ab"},
    {"Name": "n" * 300},
    {"Name": "n", "ConfigOnly": True},
    {"Name": "n", "ConfigOnly": True, "Driver": "host", "EnableIPv6": True, "Labels": {"a": "b"}},
    {"Name": "n", "ConfigOnly": True, "IPAM": {"Driver": "null", "Config": [SUBNET]}, "Options": {"x": "y"}},
]
REFUSED: list[Any] = [
    {},
    None,
    {"Name": ""},
    {"Name": "   "},
    {"Name": "host"},
    {"Name": "none"},
    {"Name": "default"},
    {"Name": "there"},
    {"Name": "there", "CheckDuplicate": False},
    {"Name": "there", "ConfigOnly": True, "Internal": True},
    {"Name": "there", "IPAM": {"Config": [{"Subnet": "bad"}]}},
    {"Name": "n", "Driver": "overlay"},
    {"Name": "bridge", "Driver": "overlay"},
    {"Name": "n", "Driver": "overlay", "ConfigOnly": True},
    {"Name": "n", "Driver": "host"},
    {"Name": "n", "Driver": "null", "Internal": True},
    {"Name": "n", "Scope": "swarm"},
    {"Name": "n", "Ingress": True},
    {"Name": "n", "Ingress": True, "ConfigFrom": {"Network": "nope"}},
    {"Name": "n", "ConfigFrom": {"Network": "nope"}},
    {"Name": "n", "ConfigFrom": {"Network": "there"}},
    {"Name": "n", "ConfigOnly": True, "Internal": True},
    {"Name": "n", "ConfigOnly": True, "Attachable": True},
    {"Name": "n", "ConfigOnly": True, "Ingress": True},
    {"Name": "n", "ConfigOnly": True, "Scope": "local"},
    {"Name": "n", "ConfigOnly": True, "ConfigFrom": {"Network": "there"}},
    {"Name": "n", "ConfigFrom": {"Network": "there"}, "Labels": {"a": "b"}},
    {"Name": "n", "ConfigFrom": {"Network": "there"}, "EnableIPv6": True},
    {"Name": "n", "ConfigFrom": {"Network": "there"}, "IPAM": {"Config": [SUBNET]}},
    {"Name": "n", "ConfigFrom": {"Network": "there"}, "IPAM": {"Options": {"a": "b"}}},
    {"Name": "n", "ConfigFrom": {"Network": "there"}, "Options": {"a": "b"}},
    {"Name": "n", "Options": {"com.docker.network.bridge.enable_icc": "maybe"}},
    {"Name": "n", "IPAM": {"Config": [{}]}},
    {"Name": "n", "IPAM": {"Config": [{"Gateway": "10.88.0.1"}]}},
    {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.88.0.1/24"}]}},
    {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.88.0.0/33"}]}},
    {"Name": "n", "IPAM": {"Config": [{**SUBNET, "Gateway": "10.94.0.1"}]}},
    {"Name": "n", "IPAM": {"Config": [{**SUBNET, "Gateway": "bad"}]}},
    {"Name": "n", "IPAM": {"Config": [{**SUBNET, "IPRange": "10.94.0.0/25"}]}},
    {"Name": "n", "IPAM": {"Config": [{**SUBNET, "AuxiliaryAddresses": {"a": "10.94.0.1"}}]}},
    {"Name": "n", "IPAM": {"Config": [{"Subnet": "bad"}, {"Subnet": "10.88.0.0/24", "Gateway": "x"}]}},
    {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.95.0.0/25"}]}},
    {"Name": "n", "CheckDuplicate": "x"},
    {"Name": "n", "Labels": ["a"]},
    {"Name": "n", "Labels": {"a": 1}},
    {"Name": "n", "Options": {"a": None, "b": 1}},
    {"Name": "n", "EnableIPv6": "yes"},
    {"Name": "n", "IPAM": []},
    {"Name": "n", "IPAM": {"Config": {}}},
    {"Name": "n", "IPAM": {"Config": [5]}},
    {"Name": "n", "IPAM": {"Config": [{"Subnet": 5}]}},
    {"Name": "n", "ConfigFrom": "there"},
]


@pytest.mark.parametrize("body", CREATES, ids=lambda body: json.dumps(body)[:60])
def test_create(both: Both, body: dict[str, Any]) -> None:
    name = quote(body.get("name", body["Name"]), safe="")
    told = differences(both, "POST", "/networks/create", body)
    for path in (f"/networks/{name}", f"/networks?filters={quote(json.dumps({'type': ['custom']}))}"):
        told += differences(both, "GET", path)
    told += differences(both, "DELETE", f"/networks/{name}")
    require(told)


def test_refused(both: Both) -> None:
    there = {"Name": "there", "IPAM": {"Config": [{"Subnet": "10.95.0.0/24"}]}}
    told = differences(both, "POST", "/networks/create", there)
    for body in REFUSED:
        raw = json.dumps(body).encode()
        told += differences(both, "POST", "/networks/create", raw, headers=JSON)
    for kind in ({"Content-Type": "text/plain"}, {"Content-Type": "application/json;charset=utf-8"}, JSON):
        told += differences(both, "POST", "/networks/create", b'{"Name":"host"}', headers=kind)
    told += differences(both, "POST", "/networks/create")
    told += differences(both, "GET", f"/networks?filters={quote(json.dumps({'type': ['custom']}))}")
    require(told)


def test_a_driver_that_nobody_has(both: Both) -> None:
    """Asked once: dockerd looks for a plugin of that name for 15 seconds."""
    same(both, "POST", "/networks/create", {"Name": "n", "Driver": "nope"})


FILTERS: list[Any] = [
    {},
    {"dangling": ["true"]},
    {"dangling": ["1"]},
    {"dangling": ["false"]},
    {"dangling": ["x"]},
    {"dangling": []},
    {"dangling": ["1", "0"]},
    {"driver": ["null"]},
    {"driver": ["bri"]},
    {"driver": ["bridge", "host"]},
    {"name": ["f"]},
    {"name": ["^fa$"]},
    {"name": ["fa", "co"]},
    {"name": ["("]},
    {"label": ["a"]},
    {"label": ["a=b", "c"]},
    {"label": ["a=c"]},
    {"scope": ["local"]},
    {"scope": ["swarm"]},
    {"scope": ["odd", "local"]},
    {"type": ["builtin"]},
    {"type": ["custom", "builtin"]},
    {"type": ["builtin", "x"]},
    {"type": ["custom"], "name": ["f"], "dangling": ["true"]},
    {"label!": ["a"]},
    {"until": ["1h"]},
]


def test_filters(both: Both) -> None:
    for body in (
        {"Name": "fa", "Labels": {"a": "b", "c": ""}},
        {"Name": "fb", "Labels": {"a": "c"}, "Scope": "odd"},
        {"Name": "co", "ConfigOnly": True},
    ):
        same(both, "POST", "/networks/create", body)
    told = []
    for wanted in FILTERS:
        told += differences(both, "GET", f"/networks?filters={quote(json.dumps(wanted))}")
    for raw in ("x", "%7B", "[]", "%7B%22name%22:%7B%22fa%22:true%7D%7D"):
        told += differences(both, "GET", f"/networks?filters={raw}")
    require(told)


PRUNES: list[dict[str, Any]] = [
    {"label": ["a=c"]},
    {"label!": ["a"]},
    {"label": ["a"], "label!": ["a=b"]},
    {"until": ["1h"]},
    {"until": ["2100-01-01T00:00:00Z"]},
    {},
]


@pytest.mark.parametrize("filters", PRUNES, ids=json.dumps)
def test_prune(both: Both, filters: dict[str, Any]) -> None:
    """Of three and a config-only network; in which order the answer names them, a map decides in dockerd."""
    for body in (
        {"Name": "pa", "Labels": {"a": "b"}},
        {"Name": "pb", "Labels": {"a": "c"}},
        {"Name": "pc"},
        {"Name": "co", "ConfigOnly": True, "Labels": {"a": "b"}},
    ):
        same(both, "POST", "/networks/create", body)
    same(both, "POST", f"/networks/prune?filters={quote(json.dumps(filters))}")
    same(both, "GET", "/networks")


IN_USE = """
POST /networks/create {"Name":"used","IPAM":{"Config":[{"Subnet":"10.97.0.0/24"}]}}
POST /networks/create {"Name":"idle","IPAM":{"Config":[{"Subnet":"10.97.1.0/24"}]}}
POST /containers/create?name=holds {"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"used"}}
GET /networks/used
POST /containers/holds/start
GET /networks/used
GET /networks/used?verbose=1
GET /networks?filters={"type":["custom"],"dangling":["true"]}
GET /networks?filters={"type":["custom"],"dangling":["false"]}
DELETE /networks/used
POST /networks/prune
GET /networks/used
POST /containers/holds/kill
POST /containers/holds/wait
GET /networks/used
DELETE /networks/used
POST /containers/holds/start
DELETE /containers/holds
GET /networks
"""


@pytest.mark.parametrize("version", ["1.27", "1.45"])
def test_in_use(both: Both, version: str) -> None:
    require(list(found(both, blocks(IN_USE)[0], version)))


def test_config_from(both: Both) -> None:
    config = {
        "Name": "co",
        "ConfigOnly": True,
        "Labels": {"a": "b"},
        "Options": {"com.docker.network.driver.mtu": "1400"},
        "IPAM": {"Config": [{**SUBNET, "Gateway": "10.88.0.3"}]},
    }
    asked = {"Name": "cf", "ConfigFrom": {"Network": "co"}, "Internal": True, "Attachable": True}
    told = []
    for method, path, body in (
        ("POST", "/networks/create", config),
        ("POST", "/networks/create", asked),
        ("GET", "/networks/co", None),
        ("GET", "/networks/cf", None),
        ("POST", "/networks/create", {**asked, "Name": "again"}),
        ("POST", "/networks/create", {**asked, "Name": "labels", "Labels": {"x": "y"}}),
        ("DELETE", "/networks/co", None),
        ("POST", "/networks/prune", None),
        ("GET", "/networks", None),
        ("DELETE", "/networks/co", None),
        ("GET", "/networks", None),
    ):
        told += differences(both, method, path, body)
    require(told)


def test_ids_and_prefixes(both: Both) -> None:
    """A network is found by its ID and by what the ID alone begins with; a name goes before a prefix."""
    same(both, "POST", "/networks/create", {"Name": "na"})
    shown = [call(side.socket, "GET", "/v1.45/networks/na").json["Id"] for side in (both.wherryd, both.peer)]
    told = []
    for length in (64, 40, 12):
        ids = {"PREFIX": (shown[0][:length], shown[1][:length])}
        told += differences(both, "GET", "/networks/PREFIX", ids=ids)
    ids = {"PREFIX": (shown[0][:12], shown[1][:12])}
    for socket, prefix in zip((both.wherryd.socket, both.peer.socket), ids["PREFIX"], strict=True):
        made = call(socket, "POST", "/v1.45/networks/create", {"Name": prefix})
        assert made.status == 201
        assert call(socket, "GET", f"/v1.45/networks/{prefix}").json["Name"] == prefix
    told += differences(both, "DELETE", "/networks/PREFIX", ids=ids)
    told += differences(both, "DELETE", "/networks/PREFIX", ids=ids)
    told += differences(both, "DELETE", "/networks/PREFIX", ids=ids)
    require(told)


def test_too_short_prefixes(both: Both) -> None:
    """Sixteen networks have two at least with the same first digit; the texts differ between endpoints."""
    for number in range(14):
        ipam = {"Config": [{"Subnet": f"10.96.{number}.0/24"}]}
        both("POST", "/networks/create", {"Name": f"many-{number}", "IPAM": ipam})
    digits = [_shared(call(side.socket, "GET", "/v1.45/networks").json) for side in (both.wherryd, both.peer)]
    for method, text in (
        ("GET", "{} matches found based on ID prefix: network {} is ambiguous"),
        ("DELETE", "network {1} is ambiguous ({0} matches found based on ID prefix)"),
    ):
        answers = both(method, "/networks/PREFIX", ids={"PREFIX": (digits[0][0], digits[1][0])})
        for answer, (digit, count) in zip(answers, digits, strict=True):
            assert (answer.status, answer.body["message"]) == (400, text.format(count, digit))


def _shared(networks: list[dict[str, Any]]) -> tuple[str, int]:
    """A digit with which more than one ID begins, and how many."""
    first = [each["Id"][0] for each in networks]
    return next((digit, first.count(digit)) for digit in first if first.count(digit) > 1)


def test_events(both: Both) -> None:
    """A config-only network is told to be made, and not that it goes."""
    time.sleep(1)  # `since` is of whole seconds, and the tests before had events too
    since = int(time.time())
    for method, path, body in (
        ("POST", "/networks/create", {"Name": "ev"}),
        ("POST", "/networks/create", {"Name": "co", "ConfigOnly": True}),
        ("POST", "/networks/create", {"Name": "cf", "ConfigFrom": {"Network": "co"}}),
        ("DELETE", "/networks/ev", None),
        ("POST", "/networks/prune", None),
        ("DELETE", "/networks/co", None),
    ):
        same(both, method, path, body)
    filters = quote(json.dumps({"type": ["network"]}))
    path = f"/v1.45/events?since={since}&until={int(time.time()) + 1}&filters={filters}"
    told = []
    for side in (both.wherryd, both.peer):
        events = [json.loads(line) for line in call(side.socket, "GET", path).body.splitlines()]
        told.append([(each["Action"], each["scope"], each["Actor"]["Attributes"]) for each in events])
    assert told[0] == told[1]
    assert [action for action, *_ in told[0]] == ["create", "create", "create", "destroy", "destroy", "prune"]
