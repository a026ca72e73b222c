"""Another program destroys the rules: they are back before a person notices, and we do not fight ourselves."""

import asyncio

import pytest

from network.controller import Controller
from tests.network.conftest import Start, tcp, udp
from tests.network.ground import CLIENT4, HOST4, Ground, eventually, run

pytestmark = pytest.mark.root

TABLE = "wherry_0badcafe"


@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        f"delete table inet {TABLE}",
        f"flush table inet {TABLE}",
        f"flush map inet {TABLE} any4",
        f"delete element inet {TABLE} any4 {{ tcp . 8080 }}",
        f"flush chain inet {TABLE} raw_pre",
        f"insert rule inet {TABLE} forward drop",
        f"add element inet {TABLE} any4 {{ tcp . 22 : 172.17.0.2 . 80 }}",
    ],
)
async def test_whatever_is_changed_is_put_back(start: Start, ground: Ground, harm: str) -> None:
    await start("web", [tcp(8080), udp(8080), tcp(8081, host_ip="127.0.0.1")])
    before = rules()
    run("nft", harm)
    assert await eventually(lambda: rules() == before)
    for udp_too in (False, True):
        answers = [await ground.ask(ground.client, HOST4, 8080, udp=udp_too)]
        if not answers[-1]:  # a packet may be lost on a busy machine; rules that are wrong lose each
            answers.append(await ground.ask(ground.client, HOST4, 8080, udp=udp_too))
        assert answers[-1] == f"web {CLIENT4} x", surroundings()


async def test_a_port_on_loopback_is_never_open_to_the_outside(start: Start, ground: Ground) -> None:
    await start("web", [tcp(8081, host_ip="127.0.0.1")])
    for harm in ("flush ruleset", f"delete table inet {TABLE}") * 3:
        run("nft", harm, check=False)  # the table may not be back yet
        for _ in range(4):
            assert await ground.ask(ground.client, HOST4, 8081, seconds=0.1) == ""
    assert await eventually(lambda: "8081" in rules())
    assert (await ground.ask(ground.host, "127.0.0.1", 8081)).startswith("web ")


async def test_the_rule_in_iptables_is_put_back(start: Start, ground: Ground) -> None:
    """The host's FORWARD policy is DROP: without the rule nothing would pass."""
    await start("web", [tcp(8080)])
    assert run("iptables", "-S", "FORWARD").splitlines()[0] == "-P FORWARD DROP"
    run("iptables", "-F")
    assert await eventually(lambda: TABLE in run("iptables", "-S", "FORWARD"))
    assert await ground.ask(ground.client, HOST4, 8080) == f"web {CLIENT4} x"


async def test_a_daemon_that_sets_the_policy_later_stops_nothing(start: Start, ground: Ground) -> None:
    await start("web", [tcp(8080)])
    run("iptables", "-P", "FORWARD", "ACCEPT")
    run("iptables", "-F", "FORWARD")
    await asyncio.sleep(0.2)
    run("iptables", "-P", "FORWARD", "DROP")
    assert await eventually(lambda: TABLE in run("iptables", "-S", "FORWARD"))
    assert await ground.ask(ground.client, HOST4, 8080) == f"web {CLIENT4} x"


async def test_it_comes_to_rest(start: Start, controller: Controller) -> None:
    await start("web", [tcp(8080)], serve=False)
    run("nft", "flush", "ruleset")
    assert await eventually(lambda: "8080" in rules())
    before = await at_rest(controller)
    await controller.release("web")
    await asyncio.sleep(0.3)
    assert generation() == before + 1


async def test_other_tables_are_nobody_elses_business(controller: Controller) -> None:
    run("nft", "add table inet theirs; add chain inet theirs c; add rule inet theirs c drop")
    before = await at_rest(controller)
    run("nft", "add rule inet theirs c accept")
    await asyncio.sleep(0.3)
    assert generation() == before + 1


async def test_a_container_can_be_released_when_its_rules_are_gone(
    start: Start, controller: Controller
) -> None:
    await start("web", [tcp(8080), udp(8080)], serve=False)
    run("nft", "flush", "ruleset")
    await controller.release("web")
    assert await eventually(lambda: "to_bridge" in rules())
    assert "8080" not in rules()


async def test_containers_come_and_go_while_a_firewall_reloads(
    start: Start, controller: Controller, ground: Ground
) -> None:
    lasting = await start("lasting", [tcp(8080), tcp(8081, host_ip="127.0.0.1")])
    assert lasting.bindings
    done = asyncio.Event()

    async def reload() -> None:
        while not done.is_set():
            await asyncio.to_thread(run, "nft", "flush", "ruleset")
            await asyncio.sleep(0.01)

    async def come_and_go(number: int) -> None:
        for turn in range(4):
            name = f"c{number}-{turn}"
            await start(name, [tcp(9000 + number), udp(9000 + number)], serve=False)
            await controller.release(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(reload())
        await asyncio.gather(*(come_and_go(number) for number in range(6)))
        for _ in range(10):
            assert await ground.ask(ground.client, HOST4, 8081, seconds=0.05) == ""
        done.set()
    assert await eventually(lambda: "tcp . 8080" in rules())
    assert await ground.ask(ground.client, HOST4, 8080) == f"lasting {CLIENT4} x"
    assert "900" not in rules() + run("ss", "-Hltun")


def surroundings() -> str:
    """What a lost packet may have met besides our rules."""
    commands = ("ip neigh", "bridge link", "ip -s link", "iptables -S", "nft list ruleset", "nstat -a")
    return "\n".join(run(*each.split(), check=False) for each in commands)


async def at_rest(controller: Controller) -> int:
    """The generation that stays for a while in which all was put back that was to be, which one of the next does."""
    async with asyncio.timeout(60):
        while True:
            before = generation()
            await asyncio.sleep(0.5)
            await controller._worker.run(lambda: None)  # comes after what is being put back
            if generation() == before:
                return before


def rules() -> str:
    return run("nft", "-s", "list", "table", "inet", TABLE, check=False)


def generation() -> int:
    from network.nftables.watch import Generation

    asker = Generation()
    try:
        return asker.current()
    finally:
        asker.close()
