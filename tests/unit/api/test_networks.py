"""Networks over HTTP: what is asked, what is shown, what is refused."""

from typing import Any

import pytest

from engine.containers.config import EndpointConfig, EndpointIPAM
from network.drivers.driver import NetworkInfo, Pool
from tests.unit.api.conftest import Served
from tests.unit.api.samples import ID


async def test_every_field_of_create(served: Served) -> None:
    body = {
        "Name": "n",
        "CheckDuplicate": True,
        "Driver": "macvlan",
        "Scope": "local",
        "Internal": True,
        "Attachable": True,
        "EnableIPv4": False,
        "EnableIPv6": True,
        "IPAM": {
            "Driver": "default",
            "Options": {"a": "b"},
            "Config": [
                {
                    "Subnet": "10.1.0.0/16",
                    "IPRange": "10.1.2.0/24",
                    "Gateway": "10.1.0.7",
                    "AuxiliaryAddresses": {"router": "10.1.0.8"},
                }
            ],
        },
        "Options": {"parent": "eth0"},
        "Labels": {"c": "d"},
    }
    status, made = await served.ask("POST", "/networks/create", json=body)
    assert (status, made["Warning"]) == (201, "")
    asked = served.engine.networks.asked[0]
    assert (asked.name, asked.driver, asked.scope) == ("n", "macvlan", "local")
    assert (asked.internal, asked.attachable, asked.enable_ipv4, asked.enable_ipv6) == (
        True,
        True,
        False,
        True,
    )
    assert (asked.options, asked.labels, asked.ipam_options) == ({"parent": "eth0"}, {"c": "d"}, {"a": "b"})
    assert asked.pools == (
        Pool(
            subnet="10.1.0.0/16",
            ip_range="10.1.2.0/24",
            gateway="10.1.0.7",
            aux_addresses={"router": "10.1.0.8"},
        ),
    )
    _, shown = await served.ask("GET", f"/networks/{made['Id'][:12]}")
    assert shown["IPAM"] == body["IPAM"]
    assert {key: shown[key] for key in ("EnableIPv4", "Internal", "Attachable", "ConfigOnly")} == {
        "EnableIPv4": False,
        "Internal": True,
        "Attachable": True,
        "ConfigOnly": False,
    }


async def test_a_config_only_network_is_used_by_name(served: Served) -> None:
    await served.ask(
        "POST", "/networks/create", json={"Name": "co", "ConfigOnly": True, "Labels": {"a": "b"}}
    )
    await served.ask("POST", "/networks/create", json={"Name": "n", "ConfigFrom": {"Network": "co"}})
    _, shown = await served.ask("GET", "/networks/n")
    assert (shown["ConfigFrom"], shown["Labels"], shown["Driver"]) == (
        {"Network": "co"},
        {"a": "b"},
        "bridge",
    )
    status, refused = await served.ask("DELETE", "/networks/co")
    assert (status, refused["message"]) == (
        403,
        'error while removing network: configuration network "co" is in use',
    )
    assert (await served.ask("DELETE", "/networks/n"))[0] == 204
    assert (await served.ask("DELETE", "/networks/co"))[0] == 204


async def test_an_option_decides_about_the_families(served: Served) -> None:
    """As a daemon's default options do; what the request says itself goes before, and the option is gone then."""
    for option, asked, enabled in (
        ("false", {}, False),
        ("1", {}, True),
        ("false", {"EnableIPv4": True}, True),
    ):
        served.engine.networks.forget()
        body = {"Name": "n", "Options": {"com.docker.network.enable_ipv4": option}, **asked}
        await served.ask("POST", "/networks/create", json=body)
        _, shown = await served.ask("GET", "/networks/n")
        assert shown["EnableIPv4"] is enabled
        assert bool(shown["Options"]) is not bool(asked)
    body = {"Name": "m", "Options": {"com.docker.network.enable_ipv6": "maybe"}}
    assert await served.ask("POST", "/networks/create", json=body) == (
        400,
        {"message": 'driver-opt "com.docker.network.enable_ipv6" is not a valid bool'},
    )


async def test_what_is_taken_of_a_subnet(served: Served) -> None:
    """Network and broadcast address, gateway and auxiliary addresses count; what can be chosen is the range's."""
    served.engine.networks.records.append(
        NetworkInfo(
            name="n",
            id="ab" * 32,
            driver="bridge",
            created=served.engine.networks.records[0].created,
            pools=(
                Pool(
                    subnet="10.1.0.0/24",
                    ip_range="10.1.0.128/25",
                    gateway="10.1.0.1",
                    aux_addresses={"a": "10.1.0.200"},
                ),
                Pool(subnet="fd00::/64", gateway="fd00::1"),
            ),
        )
    )
    _, shown = await served.ask("GET", "/networks/n")
    assert shown["Status"]["IPAM"]["Subnets"] == {
        "10.1.0.0/24": {"IPsInUse": 4, "DynamicIPsAvailable": 126},
        "fd00::/64": {"IPsInUse": 2, "DynamicIPsAvailable": 2**64 - 2},
    }


@pytest.mark.parametrize(("version", "mac"), [("1.44", ""), ("1.53", ""), ("1.54", "02:42:ac:11:00:09")])
async def test_connect(served: Served, version: str, mac: str) -> None:
    """The MAC address was passed over until 1.54 (API history)."""
    endpoint = {
        "IPAMConfig": {"IPv4Address": "172.17.0.9"},
        "MacAddress": "02:42:ac:11:00:09",
        "GwPriority": 3,
    }
    body = {"Container": "box", "EndpointConfig": endpoint}
    assert await served.ask("POST", f"/v{version}/networks/n/connect", json=body) == (200, "")
    asked = EndpointConfig(
        ipam_config=EndpointIPAM(ipv4_address="172.17.0.9"), mac_address=mac, gw_priority=3
    )
    assert served.engine.containers.calls == [("connect", ID, "n", asked)]


async def test_disconnect(served: Served) -> None:
    for body, forced in (({"Container": "box"}, False), ({"Container": ID[:12], "Force": True}, True)):
        served.engine.containers.calls.clear()
        assert await served.ask("POST", "/networks/n/disconnect", json=body) == (200, "")
        assert served.engine.containers.calls == [("disconnect", ID, "n", forced)]


async def test_wrong_bodies_of_connect_and_disconnect(served: Served) -> None:
    for verb, body in (
        ("connect", {"Container": 5}),
        ("connect", {"EndpointConfig": {"Aliases": "x"}}),
        ("connect", {"EndpointConfig": {"IPAMConfig": []}}),
        ("connect", {"EndpointConfig": {"NetworkID": 5}}),
        ("connect", {"EndpointConfig": {"EndpointID": []}}),
        ("connect", {"EndpointConfig": {"Gateway": {}}}),
        ("connect", {"EndpointConfig": {"IPAddress": True}}),
        ("connect", {"EndpointConfig": {"IPPrefixLen": "x"}}),
        ("connect", {"EndpointConfig": {"IPv6Gateway": 5}}),
        ("connect", {"EndpointConfig": {"GlobalIPv6Address": 5}}),
        ("connect", {"EndpointConfig": {"GlobalIPv6PrefixLen": 1.5}}),
        ("connect", {"EndpointConfig": {"DNSNames": "x"}}),
        ("disconnect", {"Force": "x"}),
        ("disconnect", []),
    ):
        status, answer = await served.ask("POST", f"/networks/n/{verb}", json=body)
        assert status == 400
        assert answer["message"].startswith("invalid JSON: json: cannot unmarshal")


@pytest.mark.parametrize("version", ["1.24", "1.45", "1.55"])
async def test_wrong_bodies_are_the_clients_fault(served: Served, version: str) -> None:
    bodies: list[Any] = [[], 5, "x", {"IPAM": {"Config": [[]]}}, {"Labels": {"a": {}}}, {"EnableIPv6": 1}]
    for body in bodies:
        status, answer = await served.ask("POST", f"/v{version}/networks/create", json=body)
        assert status == 400, body
        assert answer["message"].startswith("invalid JSON: json: cannot unmarshal")
