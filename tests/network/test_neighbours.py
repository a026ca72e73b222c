"""An address that is used again is found at once, at another MAC address."""

import pytest

from network.controller import Controller
from network.drivers.driver import Pool
from tests.network.bridged import NAME, join, network, with_options
from tests.network.ground import eventually, run

pytestmark = pytest.mark.root

V4, V6 = "10.5.0.9", "fd00:5::9"
MAC, BEFORE = "02:42:aa:bb:cc:dd", "02:42:0a:05:00:09"


async def test_another_mac_address_is_told(controller: Controller) -> None:
    pools = (Pool(subnet="10.5.0.0/24"), Pool(subnet="fd00:5::/64"))
    await controller.create_network(with_options(network("web", *pools, ipv6=True), **{NAME: "br5"}))
    await join(controller, "one", ipv4=V4, ipv6=V6, mac=MAC)
    for address in (V4, V6):
        run("ip", "neigh", "replace", address, "lladdr", BEFORE, "nud", "stale", "dev", "br5")
    for address in (V4, V6):
        assert await eventually(lambda at=address: MAC in run("ip", "neigh", "show", at))  # type: ignore[misc]
