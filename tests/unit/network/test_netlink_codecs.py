"""Bytes in, values out: errors of the kernel, nftables' notifications, conntrack requests."""

import errno
import struct

from hypothesis import given
from hypothesis import strategies as st

from network import conntrack, netlink
from network.nftables import elements
from network.nftables.entry import Published
from network.nftables.watch import Change, Parser


def message(kind: int, body: bytes, flags: int = 0, sequence: int = 7, port: int = 0) -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, port) + body


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def notification(kind: int, family: int, first: bytes) -> bytes:
    return message(10 << 8 | kind, bytes([family, 0, 0, 0]) + attribute(1, first), port=4000000000)


def test_a_datagram_is_split() -> None:
    assert [kind for kind, _ in netlink.split(message(2, b"abc") + message(3, b""))] == [2, 3]


def test_a_refusal_carries_the_kernels_text() -> None:
    echoed = struct.pack("=IHHII", 40, 16, 5, 9, 0)
    raw = message(
        2, struct.pack("=i", -errno.EEXIST) + echoed + attribute(1, b"name taken\0"), 0x300, sequence=9
    )
    failure = netlink._failure(raw, 8)
    assert failure is not None
    assert (failure.errno, failure.index, failure.strerror) == (errno.EEXIST, 1, "File exists: name taken")


def test_an_acknowledgement_is_no_failure() -> None:
    assert netlink._failure(message(2, struct.pack("=i", 0)), 0) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    list(netlink.split(data))
    Parser().feed(data)


def test_a_transaction_ends_with_its_generation() -> None:
    parser = Parser()
    assert parser.feed(notification(6, 1, b"wherry_0badcafe\0") + notification(1, 2, b"filter\0")) == []
    assert parser.feed(notification(15, 0, struct.pack(">I", 42))) == [
        Change(42, frozenset({("inet", "wherry_0badcafe"), ("ip", "filter")}), 4000000000)
    ]
    assert parser.feed(notification(15, 0, struct.pack(">I", 43))) == [Change(43, frozenset(), 4000000000)]


def test_other_subsystems_are_ignored() -> None:
    assert Parser().feed(message(1 << 8 | 15, b"\0\0\0\0" + attribute(1, b"\0\0\0\1"))) == []


def test_conntrack_requests_name_what_to_match() -> None:
    answered = conntrack.flows_answered_by("172.17.0.2")
    assert bytes([172, 17, 0, 2]) in answered
    assert answered.endswith(
        attribute(25 | 0x8000, attribute(1, struct.pack("=I", 0)) + attribute(2, struct.pack("=I", 1)))
    )
    port = conntrack.port_flows(17, 8080)
    assert struct.pack(">H", 8080) in port
    assert port.endswith(
        attribute(25 | 0x8000, attribute(1, struct.pack("=I", 0x28)) + attribute(2, struct.pack("=I", 0)))
    )


def test_an_element_is_a_key_and_a_target_of_whole_registers() -> None:
    one = Published("udp", "192.0.2.2", 53, "172.17.0.3", 5353).element()
    (added,), (removed,) = elements.add("t", [one]), elements.remove("t", [one])
    key = attribute(1 | 0x8000, attribute(1, bytes([192, 0, 2, 2, 17, 0, 0, 0, 0, 53, 0, 0])))
    target = attribute(2 | 0x8000, attribute(1, bytes([172, 17, 0, 3, 0x14, 0xE9, 0, 0])))
    names = attribute(1, b"t\0") + attribute(2, b"addr4\0")
    assert (added.kind, removed.kind) == (12, 14)
    assert added.attributes == names + attribute(3 | 0x8000, attribute(1 | 0x8000, key + target))
    assert removed.attributes == names + attribute(3 | 0x8000, attribute(1 | 0x8000, key))


def test_no_message_is_longer_than_an_attribute_can_be() -> None:
    every = [
        Published("tcp", host, port, "172.17.0.2", 1).element()
        for host in ("", "192.0.2.2")
        for port in range(1001)
    ]
    messages = elements.add("t", every)
    assert len(messages) == 6
    assert max(len(each.attributes) for each in messages) < 1 << 16
    assert elements.add("t", []) == []
