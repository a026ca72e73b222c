"""Networks under an interface of the host that cannot be: Docker's texts, and nothing is left."""

import subprocess

import pytest
from msgspec.structs import replace

import errdefs
from network.controller import Controller
from tests.network.ground import Ground, run
from tests.network.test_macvlan import asked, interfaces

pytestmark = pytest.mark.root

REFUSED = (
    (
        "macvlan",
        {"parent": "out0", "macvlan_mode": "x"},
        "requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default",
    ),
    (
        "ipvlan",
        {"parent": "out0", "ipvlan_mode": "l4"},
        "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default",
    ),
    (
        "ipvlan",
        {"parent": "out0", "ipvlan_flag": "x"},
        "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default",
    ),
    ("macvlan", {"parent": "lo"}, "loopback interface is not a valid macvlan parent link"),
    ("ipvlan", {"parent": "lo"}, "loopback interface is not a valid ipvlan parent link"),
    ("macvlan", {"parent": "nosuch"}, "invalid subinterface vlan name nosuch, example formatting is eth0.10"),
    (
        "macvlan",
        {"parent": "out0.1.2"},
        "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received out0.1.2",
    ),
    ("macvlan", {"parent": "out0.x"}, "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"),
    ("macvlan", {"parent": "nosuch.10"}, "-o parent interface was not found on the host: nosuch"),
    ("macvlan", {"parent": "out0.4095"}, "vlan id must be between 1-4094, received: 4095"),
    ("macvlan", {"parent": "out0.0"}, "vlan id must be between 1-4094, received: 0"),
)
NEEDED: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("dummy", "macvlan", {}),
    ("vlan", "macvlan", {"parent": "out0.10"}),
    ("ipvlan", "ipvlan", {"parent": "out0"}),
)


async def test_what_cannot_be(ground: Ground, controller: Controller) -> None:
    before = interfaces(ground.host)
    for driver, options, text in REFUSED:
        with pytest.raises(errdefs.InvalidArgument) as caught:
            await controller.create_network(replace(asked(driver=driver), options=options))
        assert caught.value.message.startswith(text)
        assert interfaces(ground.host) == before
    await controller.create_network(asked(parent="out0"))


async def test_a_kernel_without_them(ground: Ground, controller: Controller) -> None:
    missing = [each for each in NEEDED if not kernel_has(each[0])]
    if not missing:
        pytest.skip("this kernel has all kinds of interfaces: the tests in tests/vm use them")
    before = interfaces(ground.host)
    for kind, driver, options in missing:
        with pytest.raises(errdefs.SystemFailure, match=f"{kind} interfaces"):
            await controller.create_network(replace(asked(driver=driver), options=options))
        assert interfaces(ground.host) == before
    assert [each.name for each in controller.networks()] == ["bridge", "host", "none"]
    await controller.create_network(asked(parent="out0"))


def kernel_has(kind: str) -> bool:
    """Whether interfaces of that kind can be made."""
    try:
        run(
            "ip",
            "link",
            "add",
            "link",
            "out0",
            "name",
            "probe0",
            "type",
            kind,
            *(["id", "9"] if kind == "vlan" else []),
        )
    except subprocess.CalledProcessError:
        return False
    run("ip", "link", "delete", "probe0")
    return True
