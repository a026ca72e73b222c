"""Published ports as a client sees them."""

from api.schema import networking
from network.ports import PortBinding
from tests.unit.api.samples import running


def test_an_opened_port_has_no_number_of_the_host() -> None:
    """On a routed network; dockerd's list leaves it out."""
    opened = PortBinding(proto="tcp", container_port=80, host_ip="0.0.0.0", host_port=0)
    held = PortBinding(proto="tcp", container_port=80, host_ip="::", host_port=8080)
    container = running(ports=(held, opened))
    assert networking.ports(container)["80/tcp"] == [
        {"HostIp": "::", "HostPort": "8080"},
        {"HostIp": "0.0.0.0", "HostPort": ""},
    ]
    assert [each for each in networking.port_summaries(container) if each["PrivatePort"] == 80] == [
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}
    ]
