"""What is read of the kernel's answers, held against what was made."""

import errno
import socket

import pytest

from network import links
from network.netlink import NetlinkError, Rtnetlink
from tests.network.ground import HOST4, HOST6, Ground, run

pytestmark = pytest.mark.root


def test_interfaces(ground: Ground) -> None:
    run("ip", "link", "add", "br0", "address", "02:00:00:00:00:07", "type", "bridge")
    run("ip", "link", "set", "br0", "alias", "mine " + "x" * 200)
    with Rtnetlink() as rtnl:
        bridge = links.find(rtnl, name="br0")
        assert (bridge.name, bridge.kind, bridge.mac, bridge.up, bridge.other) == (
            "br0",
            "bridge",
            "02:00:00:00:00:07",
            False,
            0,
        )
        assert bridge.alias == "mine " + "x" * 200
        assert links.find(rtnl, index=bridge.index) == bridge
        assert links.every(rtnl, "bridge") == [bridge]
        wire = links.find(rtnl, name="out0")
        assert (wire.kind, wire.up, wire.alias) == ("veth", True, "")
        assert run("ip", "-o", "link", "show", "out0").split("@")[1].split(":")[0] == f"if{wire.other}"
        assert links.every(rtnl, "no such kind") == []
        with pytest.raises(NetlinkError) as caught:
            links.find(rtnl, name="nothing")
    assert caught.value.errno == errno.ENODEV


def test_addresses_and_routes(ground: Ground) -> None:
    run("ip", "link", "add", "br0", "type", "bridge")
    run("ip", "address", "add", "10.1.2.3/20", "dev", "br0")
    run("ip", "route", "add", "10.9.0.0/16", "via", "192.0.2.9")
    run("ip", "route", "add", "10.8.0.0/16", "via", "192.0.2.9", "table", "77")
    run("ip", "route", "add", "default", "via", "192.0.2.9")
    with Rtnetlink() as rtnl:
        assert list(links.addresses(rtnl, socket.if_nametoindex("br0"))) == ["10.1.2.3/20"]
        wire = list(links.addresses(rtnl, socket.if_nametoindex("out0")))
        assert {f"{HOST4}/24", f"{HOST6}/64"} <= set(wire)
        out = socket.if_nametoindex("out0")
        assert set(links.routes(rtnl, socket.AF_INET)) == {("192.0.2.0/24", out), ("10.9.0.0/16", out)}
        assert ("2001:db8::/64", out) in set(links.routes(rtnl, socket.AF_INET6))
