"""Sysctls of an interface: whose they are, by version. (Of the MAC address: test_containers.py.)"""

import json
from typing import Any

import pytest

import errdefs
from api.schema import create
from api.versions import Version
from engine.containers import interface_sysctls
from engine.containers.config import EndpointConfig
from engine.containers.interface_sysctls import OPTION

MARTIANS = "net.ipv4.conf.eth0.log_martians"
FORWARD = "net.ipv6.conf.eth0.forwarding"


def parsed(version: str, sysctls: dict[str, str], **more: Any) -> create.Request:
    body = {"Image": "x", "HostConfig": {"Sysctls": sysctls, **more.pop("host", {})}, **more}
    return create.parse(json.dumps(body).encode(), Version(version))


@pytest.mark.parametrize("version", ["1.24", "1.45"])
def test_they_stay_before_146(version: str) -> None:
    request = parsed(version, {MARTIANS: "1", "net.ipv4.ip_forward": "1"})
    assert request.host.sysctls == {MARTIANS: "1", "net.ipv4.ip_forward": "1"}
    assert request.networking.endpoints_config == {}
    assert request.warnings == []


@pytest.mark.parametrize("version", ["1.46", "1.47"])
def test_they_move_to_the_endpoint_until_147(version: str) -> None:
    request = parsed(version, {MARTIANS: "1", "net.ipv4.ip_forward": "1", FORWARD: "0"})
    assert request.host.sysctls == {"net.ipv4.ip_forward": "1"}
    moved = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.forwarding=0"
    assert request.networking.endpoints_config == {"bridge": EndpointConfig(driver_opts={OPTION: moved})}
    assert request.warnings == [
        f'Migrated sysctl "{MARTIANS},{FORWARD}" to DriverOpts{{"{OPTION}":"{moved}"}}.'
    ]


def test_the_endpoints_own_come_last() -> None:
    own = {"EndpointsConfig": {"bridge": {"DriverOpts": {OPTION: "net.ipv4.conf.IFNAME.log_martians=0"}}}}
    request = parsed("1.47", {MARTIANS: "1"}, NetworkingConfig=own)
    endpoint = (request.networking.endpoints_config or {})["bridge"]
    assert endpoint is not None
    assert interface_sysctls.settings(endpoint) == {"net.ipv4.conf.IFNAME.log_martians": "0"}


@pytest.mark.parametrize("version", ["1.47", "1.55"])
@pytest.mark.parametrize("mode", ["host", "container:other"])
def test_whose_network_is_anothers(version: str, mode: str) -> None:
    request = parsed(version, {MARTIANS: "1"}, host={"NetworkMode": mode})
    assert request.host.sysctls == {MARTIANS: "1"}


@pytest.mark.parametrize(
    ("version", "name", "endpoints", "message"),
    [
        ("1.48", MARTIANS, {}, f"\"{MARTIANS}\" must be supplied using driver option '{OPTION}'"),
        ("1.55", "net.ipv4.conf.eth7.log_martians", {}, "must be supplied using driver option"),
        ("1.47", "net.ipv4.conf.eth1.log_martians", {}, "unable to determine network endpoint for sysctl"),
        ("1.47", MARTIANS, {"other": {}}, f"unable to find a network for sysctl {MARTIANS}: HostConfig"),
    ],
)
def test_refusals(version: str, name: str, endpoints: dict[str, Any], message: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as raised:
        parsed(version, {name: "1"}, NetworkingConfig={"EndpointsConfig": endpoints})
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("net.ipv4.conf.IFNAME.log_martians=1", True),
        ("net.ipv6.neigh.ifname.anycast_delay=1", True),
        ("net.ipv4.conf.IFNAME.a.b=x=y", True),
        ("net.ipv4.conf.eth0.log_martians=1", False),
        ("net.core.conf.IFNAME.x=1", False),
        ("net.ipv4.conf.IFNAME.log_martians", False),
        ("", False),
    ],
)
def test_what_an_endpoints_option_may_say(text: str, good: bool) -> None:
    endpoint = EndpointConfig(driver_opts={OPTION: text})
    assert bool(interface_sysctls.faults(endpoint)) is not good
    assert bool(interface_sysctls.settings(endpoint)) is good
