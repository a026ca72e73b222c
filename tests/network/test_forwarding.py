"""The host's own settings: forwarding, router advertisements, and the rule in iptables of either kind."""

import pytest

from network import legacy_tables, sysctl
from network.forwarding import Forwarding
from network.nftables.apply import Nft
from network.nftables.element import Family
from tests.network.ground import Ground, eventually, run
from tests.network.yard import MARK, TABLE, bridge, opened

pytestmark = pytest.mark.root

PROGRAMS = ("iptables", "ip6tables")


@pytest.fixture
def forwarding(ground: Ground) -> Forwarding:
    for name in ("default", "all"):
        sysctl.write(f"ipv6/conf/{name}/forwarding", "0")
    return Forwarding(Nft(), MARK, TABLE)


def listed(program: str) -> list[str]:
    return run(program, "-S", "FORWARD").splitlines()


def test_ipv6_is_forwarded_for_containers_alone(forwarding: Forwarding) -> None:
    forwarding.enable("ipv6")
    assert sysctl.read("ipv6/conf/all/forwarding") == sysctl.read("ipv6/conf/default/forwarding") == "1"
    policy, rule = listed("ip6tables")
    assert policy == "-P FORWARD DROP"
    assert TABLE in rule
    forwarding.enable("ipv6")
    assert len(listed("ip6tables")) == 2
    forwarding.dismantle()
    assert listed("ip6tables") == ["-P FORWARD DROP"]


def test_the_policy_stays_where_that_is_wished(forwarding: Forwarding) -> None:
    Forwarding(Nft(), MARK, TABLE, drop=False).enable("ipv6")
    assert sysctl.read("ipv6/conf/all/forwarding") == "1"
    assert "-P FORWARD ACCEPT" in listed("ip6tables")


def test_routers_are_heard_as_before(forwarding: Forwarding) -> None:
    run("ip", "link", "add", "deaf0", "type", "bridge")
    sysctl.write("ipv6/conf/deaf0/accept_ra", "0")
    sysctl.write("ipv6/conf/out0/accept_ra", "1")
    forwarding.enable("ipv6")
    assert sysctl.read("ipv6/conf/out0/accept_ra") == "2"
    assert sysctl.read("ipv6/conf/deaf0/accept_ra") == "0"
    assert sysctl.read("ipv6/conf/default/accept_ra") == "1"


def test_a_host_that_forwards_already_keeps_its_policy(forwarding: Forwarding) -> None:
    for name in ("default", "all"):
        sysctl.write(f"ipv6/conf/{name}/forwarding", "1")
    sysctl.write("ipv6/conf/out0/accept_ra", "1")
    forwarding.enable("ipv6")
    assert listed("ip6tables") == ["-P FORWARD ACCEPT"]
    assert sysctl.read("ipv6/conf/out0/accept_ra") == "1"


def test_where_forwarding_is_not_ours_nothing_is_changed(ground: Ground) -> None:
    sysctl.write("ipv6/conf/all/forwarding", "0")
    Forwarding(Nft(), MARK, TABLE, enabled=False).enable("ipv6")
    assert sysctl.read("ipv6/conf/all/forwarding") == "0"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_legacy_chain_is_read_as_iptables_shows_it(ground: Ground, program: str) -> None:
    family: Family = "ipv4" if program == "iptables" else "ipv6"
    assert legacy_tables.forward(family) is None
    waiting = (f"{program}-legacy", "-w")  # for others of this machine that run it
    run(*waiting, "-P", "FORWARD", "ACCEPT")
    chain = legacy_tables.forward(family)
    assert chain is not None
    assert not chain.filters
    run(*waiting, "-P", "FORWARD", "DROP")
    chain = legacy_tables.forward(family)
    assert chain is not None
    assert (chain.rules, chain.filters) == (b"", True)
    run(*waiting, "-N", "OTHER")
    run(*waiting, "-A", "INPUT", "-m", "comment", "--comment", "elsewhere", "-j", "ACCEPT")
    run(*waiting, "-A", "FORWARD", "-m", "comment", "--comment", "here", "-j", "OTHER")
    chain = legacy_tables.forward(family)
    assert chain is not None
    assert b"here" in chain.rules
    assert b"elsewhere" not in chain.rules


async def test_what_iptables_legacy_lost_is_back_in_time(ground: Ground) -> None:
    async with opened(ground) as yard:
        await yard.network(bridge("bra", 1))
        for program in PROGRAMS:
            run(f"{program}-legacy", "-w", "-P", "FORWARD", "DROP")
            assert await eventually(lambda p=program: TABLE in legacy(p))  # type: ignore[misc]
            run(f"{program}-legacy", "-w", "-F")
            assert await eventually(lambda p=program: TABLE in legacy(p))  # type: ignore[misc]
    assert TABLE not in legacy("iptables")


def legacy(program: str) -> str:
    """Its rules; all that run it on this machine, in whatever namespace, wait for each other."""
    return run(f"{program}-legacy", "-w", "-S", "FORWARD")
