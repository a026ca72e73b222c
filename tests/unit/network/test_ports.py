"""Which port is a candidate, and which address stands in another's way."""

import socket

import pytest

from network.ports import Group, PortBinding, PortInUse, Ports, ephemeral_range


def test_the_kernels_range_or_dockers() -> None:
    assert ephemeral_range("32768\t60999") == range(32768, 61000)
    assert ephemeral_range("") == range(49153, 65536)
    assert ephemeral_range("x y") == range(49153, 65536)


def free_ports(count: int) -> int:
    """The first of some free ports in a row."""
    for first in range(20000, 30000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def request(start: int = 0, end: int = 0, host_ip: str = "127.0.0.1") -> Group:
    return Group("tcp", 80, start, end or start, (host_ip,))


def test_ephemeral_ports_rotate_and_end() -> None:
    first = free_ports(3)
    ports = Ports(range(first, first + 3))
    held = [ports.allocate([request()])[0] for _ in range(3)]
    assert [each.binding.host_port for each in held] == [first, first + 1, first + 2]
    ports.free(held[:2])
    again = ports.allocate([request()])
    assert again[0].binding.host_port == first
    second = ports.allocate([request()])
    with pytest.raises(PortInUse, match="all ports are allocated"):
        ports.allocate([request()])
    ports.free([held[2], *again, *second])


def test_all_or_none() -> None:
    first = free_ports(2)
    ports = Ports(range(1, 2))
    kept = ports.allocate([request(first)])
    with pytest.raises(PortInUse, match=f"Bind for 127.0.0.1:{first} failed: port is already allocated"):
        ports.allocate([request(first + 1), request(first)])
    ports.free([*ports.allocate([request(first + 1)]), *kept])


@pytest.mark.parametrize(
    ("one", "other"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "127.0.0.1")]
)
def test_every_address_stands_in_the_way_of_one(one: str, other: str) -> None:
    first = free_ports(1)
    ports = Ports(range(1, 2))
    held = ports.allocate([request(first, host_ip=one)])
    with pytest.raises(PortInUse, match="port is already allocated"):
        ports.allocate([request(first, host_ip=other)])
    ports.free(held)


def test_two_addresses_do_not() -> None:
    first = free_ports(1)
    ports = Ports(range(1, 2))
    held = ports.allocate([request(first), request(first, host_ip="127.0.0.2")])
    assert len(held) == 2
    ports.free(held)
    ports.free(held)


def test_a_port_is_held_again_and_only_once() -> None:
    first = free_ports(1)
    ports = Ports(range(1, 2))
    binding = PortBinding(proto="udp", container_port=53, host_ip="127.0.0.1", host_port=first)
    held = ports.hold(binding)
    with pytest.raises(PortInUse):
        ports.hold(binding)
    ports.free([held])
