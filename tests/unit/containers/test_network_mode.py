"""What fits a network mode and what does not; the texts are those of dockerd 26.1.5."""

import pytest

import errdefs
from engine.containers.config import ContainerConfig, EndpointConfig, EndpointIPAM, HostConfig, PortBinding
from engine.containers.network_mode import verify_endpoints, verify_network_mode

CONFLICT = "conflicting options: "
ADDRESS = "user specified IP address is supported on user defined networks only"
SUBNET = (
    "user specified IP address is supported only when connecting to networks with user configured subnets"
)


def find(reference: str) -> None:
    """No network is there yet."""


@pytest.mark.parametrize(
    ("config", "host", "text"),
    [
        (ContainerConfig(hostname="h"), HostConfig(), "hostname and the network mode"),
        (ContainerConfig(), HostConfig(dns=["1.1.1.1"]), "dns and the network mode"),
        (
            ContainerConfig(),
            HostConfig(extra_hosts=["a:1.1.1.1"]),
            "custom host-to-IP mapping and the network mode",
        ),
        (
            ContainerConfig(),
            HostConfig(port_bindings={"80/tcp": [PortBinding()]}),
            "port publishing and the container type network mode",
        ),
        (
            ContainerConfig(),
            HostConfig(publish_all_ports=True),
            "port publishing and the container type network mode",
        ),
        (
            ContainerConfig(exposed_ports={"80/tcp": {}}),
            HostConfig(),
            "port exposing and the container type network mode",
        ),
    ],
)
def test_what_comes_with_anothers_network_is_not_chosen(
    config: ContainerConfig, host: HostConfig, text: str
) -> None:
    verify_network_mode(config, host)
    host.network_mode = "container:other"
    with pytest.raises(errdefs.InvalidArgument) as failure:
        verify_network_mode(config, host)
    assert failure.value.message == CONFLICT + text


def test_another_container_is_named() -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"invalid container format container:<name\|id>"):
        verify_network_mode(ContainerConfig(), HostConfig(network_mode="container:"))


@pytest.mark.parametrize("mode", ["bridge", "host"])
def test_the_hosts_name_is_not_chosen(mode: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="hostname and the UTS mode"):
        verify_network_mode(ContainerConfig(hostname="h"), HostConfig(network_mode=mode, uts_mode="host"))


@pytest.mark.parametrize(
    ("endpoint", "lines"),
    [
        (EndpointConfig(ipam_config=EndpointIPAM(ipv4_address="1.2.3.4")), ["* " + ADDRESS, "* " + SUBNET]),
        (EndpointConfig(ipam_config=EndpointIPAM(ipv6_address="fd00::1")), ["* " + ADDRESS, "* " + SUBNET]),
        (
            EndpointConfig(ipam_config=EndpointIPAM(ipv4_address="x")),
            ["* " + ADDRESS, "* invalid IPv4 address: x", "* " + SUBNET],
        ),
        (
            EndpointConfig(ipam_config=EndpointIPAM(link_local_ips=["x"])),
            ["invalid link-local IP address: x"],
        ),
        (
            EndpointConfig(aliases=["a"]),
            ["network-scoped alias is supported only for containers in user defined networks"],
        ),
    ],
)
def test_predefined_networks_give_what_they_like(endpoint: EndpointConfig, lines: list[str]) -> None:
    with pytest.raises(errdefs.InvalidArgument) as failure:
        verify_endpoints({"bridge": endpoint}, find)
    assert failure.value.message.split("\n") == [
        "invalid config for network bridge: invalid endpoint settings:",
        *lines,
    ]


def test_a_bad_mac_address() -> None:
    with pytest.raises(
        errdefs.InvalidArgument, match="invalid config for network none: invalid MAC address zz"
    ):
        verify_endpoints({"none": EndpointConfig(mac_address="zz")}, find)


def test_what_is_fine_is_let_through() -> None:
    verify_endpoints(
        {
            "bridge": EndpointConfig(mac_address="02:42:ac:11:00:02", ipam_config=EndpointIPAM()),
            "mine": EndpointConfig(aliases=["a"], ipam_config=EndpointIPAM(ipv4_address="1.2.3.4")),
        },
        find,
    )
