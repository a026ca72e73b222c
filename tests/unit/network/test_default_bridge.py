"""What the default bridge asks for, from dockerd's settings and what its interface has already."""

from ipaddress import ip_interface

import pytest

import errdefs
from network.drivers.default_bridge import DefaultBridge
from network.drivers.driver import Pool


@pytest.mark.parametrize(
    ("settings", "present", "expected"),
    [
        ({}, (), []),
        ({"ipv6": True}, (), []),
        ({"bip": "10.1.0.9/16"}, (), [Pool(subnet="10.1.0.0/16", gateway="10.1.0.9")]),
        ({"bip": "10.1.0.9/16"}, ("10.2.0.1/16",), [Pool(subnet="10.1.0.0/16", gateway="10.1.0.9")]),
        ({}, ("fe80::1/64", "10.2.0.1/16"), [Pool(subnet="10.2.0.0/16", gateway="10.2.0.1")]),
        ({"fixed_cidr": "10.1.4.9/24"}, (), [Pool(subnet="10.1.4.0/24")]),
        (
            {"bip": "10.1.0.1/16", "fixed_cidr": "10.1.4.0/24"},
            (),
            [Pool(subnet="10.1.0.0/16", gateway="10.1.0.1", ip_range="10.1.4.0/24")],
        ),
        (
            {"fixed_cidr": "10.3.4.0/24"},
            ("10.2.0.1/16", "10.3.0.1/16"),
            [Pool(subnet="10.3.0.0/16", gateway="10.3.0.1", ip_range="10.3.4.0/24")],
        ),
        ({"fixed_cidr": "10.4.4.0/24"}, ("10.2.0.1/16",), [Pool(subnet="10.4.4.0/24")]),
        (
            {"bip": "10.1.0.1/16", "gateway": "10.1.0.254"},
            (),
            [
                Pool(
                    subnet="10.1.0.0/16",
                    gateway="10.1.0.1",
                    aux_addresses={"DefaultGatewayIPv4": "10.1.0.254"},
                )
            ],
        ),
        ({"fixed_cidr_v6": "fd01::/64"}, ("fd02::1/64",), []),
        ({"ipv6": True, "fixed_cidr_v6": "fd01::/64"}, ("fe80::1/64",), [Pool(subnet="fd01::/64")]),
        (
            {"ipv6": True, "bip6": "fd01::9/64", "gateway_v6": "fd01::5"},
            (),
            [Pool(subnet="fd01::/64", gateway="fd01::9", aux_addresses={"DefaultGatewayIPv6": "fd01::5"})],
        ),
    ],
)
def test_the_subnets(settings: dict[str, str], present: tuple[str, ...], expected: list[Pool]) -> None:
    bridge = DefaultBridge(**settings)  # type: ignore[arg-type]
    assert bridge.pools([ip_interface(each) for each in present]) == expected


def test_a_gateway_of_an_unknown_subnet() -> None:
    with pytest.raises(
        errdefs.InvalidArgument, match=r"default-gateway 10\.1\.0\.1: the subnet is not known"
    ):
        DefaultBridge(gateway="10.1.0.1").pools()


def test_the_options_as_docker_shows_them() -> None:
    assert DefaultBridge(icc=False, masquerade=False, host_ip="127.0.0.1", mtu=1400).options("br0") == {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "false",
        "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
        "com.docker.network.bridge.name": "br0",
        "com.docker.network.driver.mtu": "1400",
    }
