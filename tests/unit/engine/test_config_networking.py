"""The settings of the network, from flags and from daemon.json."""

import json
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

import errdefs
from engine.config.loading import load
from network.drivers.default_bridge import DefaultBridge
from network.ipam.pools import AddressPool

File = Callable[[dict[str, Any]], list[str]]


@pytest.fixture
def written(tmp_path: Path) -> File:
    def write(document: dict[str, Any]) -> list[str]:
        path = tmp_path / "daemon.json"
        path.write_text(json.dumps(document))
        return ["--config-file", str(path)]

    return write


def refusal(argv: list[str]) -> str:
    with pytest.raises(errdefs.InvalidArgument) as caught:
        load(argv)
    return caught.value.message


WANTED = DefaultBridge(
    bip="10.1.0.1/16",
    bip6="fd01::1/64",
    fixed_cidr="10.1.4.0/24",
    fixed_cidr_v6="fd01::4:0/112",
    gateway="10.1.0.254",
    gateway_v6="fd01::254",
    host_ip="127.0.0.1",
    ipv6=True,
    icc=False,
    masquerade=False,
    mtu=1400,
)
POOLS = (AddressPool(ip_network("10.0.0.0/8"), 24), AddressPool(ip_network("fd02::/48"), 64))
OPTIONS = {"bridge": {"com.docker.network.driver.mtu": "1400", "a": "b=c"}, "macvlan": {"parent": "eth1"}}


def test_the_file_says_how_the_default_bridge_is(written: File) -> None:
    config = load(
        written(
            {
                "bip": "10.1.0.1/16",
                "bip6": "fd01::1/64",
                "fixed-cidr": "10.1.4.0/24",
                "fixed-cidr-v6": "fd01::4:0/112",
                "default-gateway": "10.1.0.254",
                "default-gateway-v6": "fd01:0::254",
                "ip": "127.0.0.1",
                "ipv6": True,
                "icc": False,
                "ip-masq": False,
                "mtu": 1400,
                "ip-forward": False,
                "ip-forward-no-drop": True,
                "allow-direct-routing": True,
                "host-gateway-ips": ["fd00::1", "192.0.2.1"],
                "default-address-pools": [
                    {"base": "10.0.0.1/8", "size": 24},
                    {"Base": "fd02::/48", "Size": 64},
                ],
                "default-network-opts": OPTIONS,
                "userland-proxy": False,
            }
        )
    )
    assert config.default_bridge == WANTED
    assert config.default_address_pools == POOLS
    assert config.default_network_opts == OPTIONS
    assert not config.ip_forward
    assert config.ip_forward_no_drop
    assert config.allow_direct_routing
    assert config.host_gateway_ips == ("192.0.2.1", "fd00::1")


def test_host_gateways_are_one_of_each_family(written: File) -> None:
    flags = ["--config-file", "", "--host-gateway-ip=192.0.2.1", "--host-gateway-ip", "fd00::1"]
    assert load(flags).host_gateway_ips == ("192.0.2.1", "fd00::1")
    assert load(written({"host-gateway-ip": "192.0.2.1"})).host_gateway_ips == ("192.0.2.1",)
    for wrong, text in (
        ({"host-gateway-ips": ["192.0.2.1", "192.0.2.2"]}, "only one IPv4 address"),
        ({"host-gateway-ips": ["x"]}, "host-gateway-ips: IP address is not correctly formatted: x"),
        ({"host-gateway-ip": "192.0.2.1", "host-gateway-ips": ["fd00::1"]}, "cannot both be set"),
    ):
        with pytest.raises(errdefs.InvalidArgument, match=text):
            load(written(wrong))


def test_flags_say_the_same() -> None:
    config = load(
        [
            *("--config-file", "", "--bip=10.1.0.1/16", "--bip6=fd01::1/64", "--fixed-cidr", "10.1.4.0/24"),
            *("--fixed-cidr-v6=fd01::4:0/112", "--default-gateway", "10.1.0.254", "--ip", "127.0.0.1"),
            *("--default-gateway-v6=fd01::254", "--ipv6", "--icc=false", "--ip-masq=false", "--mtu=1400"),
            *("--ip-forward=0", "--default-address-pool", "base=10.0.0.0/8,size=24"),
            *("--default-address-pool", "Base=fd02::/48,SIZE=64", "--userland-proxy=false"),
            *("--default-network-opt", "bridge=com.docker.network.driver.mtu=1400"),
            *("--default-network-opt", "bridge=a=b=c", "--default-network-opt=macvlan=parent=eth1"),
        ]
    )
    assert config.default_bridge == WANTED
    assert config.default_address_pools == POOLS
    assert config.default_network_opts == OPTIONS
    assert not config.ip_forward


def test_nothing_said_and_null_leave_the_defaults(written: File) -> None:
    empty = dict.fromkeys(
        [
            *("bip", "fixed-cidr", "default-gateway", "ip", "ipv6", "icc", "ip-masq", "mtu", "ip-forward"),
            *("default-address-pools", "default-network-opts"),
        ]
    )
    for argv in (["--config-file", ""], written(empty)):
        config = load(argv)
        assert config.default_bridge == DefaultBridge()
        assert config.default_address_pools == ()
        assert config.default_network_opts == {}
        assert config.ip_forward
        assert config.host_gateway_ips == ()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("bip", "x", "bip: invalid CIDR address: x"),
        ("bip", "10.0.0.1", "bip: invalid CIDR address: 10.0.0.1"),
        ("bip", "fd00::1/64", "bip: invalid CIDR address: fd00::1/64"),
        ("bip", "10.0.0.255/24", "bip: 10.0.0.255/24 must be the address of a host, not that of a network"),
        ("bip", "10.0.0.1/31", "bip: 10.0.0.1/31 must be an address with a prefix, up to /30"),
        ("bip6", "10.0.0.1/24", "bip6: invalid CIDR address: 10.0.0.1/24"),
        ("bip6", "fd00::/64", "bip6: fd00::/64 must be the address of a host, not that of a network"),
        ("fixed-cidr", "x", "invalid fixed-cidr: invalid CIDR address: x"),
        ("fixed-cidr", "fd00::/64", "invalid fixed-cidr: fixed-cidr is not an IPv4 subnet"),
        ("fixed-cidr-v6", "x", "invalid fixed-cidr-v6: invalid CIDR address: x"),
        ("fixed-cidr-v6", "10.0.0.0/24", "invalid fixed-cidr-v6: fixed-cidr-v6 is not an IPv6 subnet"),
        ("default-gateway", "x", "default-gateway: invalid IP address: x"),
        ("default-gateway", "fd00::1", "default-gateway: an IPv4 address is needed: fd00::1"),
        ("default-gateway-v6", "10.0.0.1", "default-gateway-v6: an IPv6 address is needed: 10.0.0.1"),
        ("ip", "::1", "ip: an IPv4 address is needed: ::1"),
        ("ip", 5, "ip: must be a text"),
        ("mtu", -1, "invalid default MTU: -1"),
        ("mtu", 67, "invalid default MTU: 67"),
        ("mtu", 65536, "invalid default MTU: 65536"),
        ("mtu", "1400", "mtu: must be a whole number"),
        ("ipv6", "x", "ipv6: must be true or false"),
        ("default-address-pools", [5], "default-address-pools: must be a list of objects"),
        (
            "default-address-pools",
            [{"base": "x", "size": 24}],
            'default-address-pools: invalid base prefix "x"',
        ),
        ("default-address-pools", [{"size": 24}], 'default-address-pools: invalid base prefix ""'),
        (
            "default-address-pools",
            [{"base": "10.0.0.0/8", "size": "24"}],
            "default-address-pools: must be a list",
        ),
        (
            "default-address-pools",
            [{"base": "10.0.0.0/24", "size": 8}],
            "default-address-pools: invalid size 8 of 10.0.0.0/24: it must be from 24 to 32",
        ),
        (
            "default-address-pools",
            [{"base": "fd00::/48", "size": 129}],
            "default-address-pools: invalid size 129 of fd00::/48: it must be from 48 to 128",
        ),
        ("default-network-opts", [], "default-network-opts: must be an object of objects"),
        ("default-network-opts", {"bridge": "x"}, "default-network-opts: must be an object of objects"),
        ("default-network-opts", {"bridge": {"a": 1}}, 'default-network-opts: the value of "a" of "bridge"'),
    ],
)
def test_bad_values_in_the_file(written: File, key: str, value: Any, expected: str) -> None:
    assert expected in refusal(written({key: value}))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"bip": "10.1.0.1/24", "fixed-cidr": "10.2.0.0/24"},
            "fixed-cidr: 10.2.0.0/24 is not inside 10.1.0.0/24, the subnet of bip",
        ),
        (
            {"bip": "10.1.0.1/24", "fixed-cidr": "10.1.0.0/16"},
            "fixed-cidr: 10.1.0.0/16 is not inside 10.1.0.0/24, the subnet of bip",
        ),
        (
            {"bip": "10.1.0.1/24", "default-gateway": "10.2.0.1"},
            "default-gateway: 10.2.0.1 is not inside 10.1.0.0/24",
        ),
        (
            {"fixed-cidr-v6": "fd01::/64", "default-gateway-v6": "fd02::1"},
            "default-gateway-v6: fd02::1 is not inside fd01::/64",
        ),
    ],
)
def test_values_that_contradict_each_other(written: File, document: dict[str, Any], expected: str) -> None:
    assert refusal(written(document)) == expected


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ["--default-gateway", "x"],
            'invalid argument "x" for "--default-gateway" flag: failed to parse IP: "x"',
        ),
        (["--ip", "x"], 'invalid argument "x" for "--ip" flag: failed to parse IP: "x"'),
        (
            ["--mtu", "x"],
            'invalid argument "x" for "--mtu" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--icc=maybe"],
            'invalid argument "maybe" for "--icc" flag: strconv.ParseBool: parsing "maybe"',
        ),
        (
            ["--default-address-pool", "x"],
            'invalid argument "x" for "--default-address-pool" flag: invalid field \'x\' must be a key=value pair',
        ),
        (
            ["--default-address-pool", "base=10.0.0.0/8,size=x"],
            'flag: invalid size value: "base=10.0.0.0/8,size=x" (must be integer)',
        ),
        (
            ["--default-address-pool", "foo=10.0.0.0/8,size=24"],
            "flag: unexpected key 'foo' in 'foo=10.0.0.0/8'",
        ),
        (
            ["--default-network-opt", "bridge=x"],
            'flag: invalid value "bridge=x" for map option, should be root-key=key=value',
        ),
    ],
)
def test_bad_flags_in_dockerds_words(argv: list[str], expected: str) -> None:
    assert expected in refusal(["--config-file", "", *argv])


def test_pools_in_both_places_are_an_error_with_dockerds_text(written: File) -> None:
    argv = written({"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]})
    assert refusal([*argv, "--default-address-pool", "base=10.0.0.0/8,size=24"]).endswith(
        "default-address-pools: (from flag: 10.0.0.0/8 24, from file: [map[base:10.0.0.0/8 size:24]])"
    )
