"""Elements go to the kernel as netlink messages: nft reads them as its own, and a refused change changes nothing."""

import asyncio
import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest
import uvloop

from network.nftables import bridge, element, elements, held, rules_text, ruleset
from network.nftables.apply import Nft
from network.nftables.entry import Published
from network.nftables.ruleset import Ruleset
from network.nftables.table import Table
from network.nftables.transaction import Message, NftError, Transactions
from network.nftables.watch import Change, Watch
from tests.network.ground import Ground, run
from tests.unit.network.test_ruleset import example

pytestmark = pytest.mark.root

TABLE = "wherry_0badcafe"
PORTS = [each.element() for each in example().entries]
BRIDGES = [each for one in example().bridges.values() for each in bridge.elements(one)]
EVERYTHING = [*PORTS, *BRIDGES]
FIRST = Published("tcp", "", 8080, "172.17.0.2", 80).element()
REST = [each for each in EVERYTHING if each != FIRST]


@pytest.fixture
def transactions(ground: Ground) -> Iterator[Transactions]:
    Nft().run(ruleset.replace(Ruleset(TABLE, 1)))
    transactions = Transactions()
    yield transactions
    transactions.close()


def shown() -> str:
    """What nft lists, sorted, for some sets have no order."""
    listed = run("nft", "-s", "list", "table", "inet", TABLE)
    return "\n".join(sorted(part.strip() for part in re.split(r"[,{}\n]", listed)))


def test_nft_reads_what_it_would_have_written(transactions: Transactions) -> None:
    Nft().run("\n".join(element.text(TABLE, EVERYTHING)))
    by_nft = shown()
    Nft().run(ruleset.replace(Ruleset(TABLE, 1)))
    empty = shown()
    transactions.commit(elements.add(TABLE, EVERYTHING))
    assert shown() == by_nft != empty
    transactions.commit(elements.add(TABLE, EVERYTHING))  # they are there already
    transactions.commit(elements.remove(TABLE, EVERYTHING))
    assert shown() == empty


def test_what_is_read_is_what_was_said(transactions: Transactions) -> None:
    """Neighbours too: of their intervals nft writes fewer ends than we do. After the last address none can end."""
    subnets = [*(f"10.1.{number}.0/24" for number in range(3)), "255.255.255.0/24"]
    neighbours = [
        bridge.Bridge(name=f"br{number}", network_id="", subnets=(ip_network(subnet),))
        for number, subnet in enumerate(subnets)
    ]
    said = [*EVERYTHING, *(each for one in neighbours for each in bridge.elements(one))]
    sets = (*rules_text.SETS, *rules_text.MAPS)
    assert not any(held.read(transactions, TABLE, sets).values())
    for write in (
        lambda: transactions.commit(elements.add(TABLE, said)),
        lambda: Nft().run("\n".join(element.text(TABLE, said))),
    ):
        Nft().run(ruleset.replace(Ruleset(TABLE, 1)))
        write()
        assert held.read(transactions, TABLE, sets) == held.of(said, sets)
        for each in said:
            transactions.commit(elements.remove(TABLE, [each]))
            assert held.read(transactions, TABLE, sets) != held.of(said, sets)
            transactions.commit(elements.add(TABLE, [each]))
    assert held.read(transactions, TABLE, sets) == held.of(said, sets)
    with pytest.raises(NftError):
        held.read(transactions, "wherry_missing", sets)


def test_what_nft_added_can_be_removed(transactions: Transactions) -> None:
    empty = shown()
    Nft().run("\n".join(element.text(TABLE, EVERYTHING)))
    transactions.commit(elements.remove(TABLE, EVERYTHING))
    assert shown() == empty


def test_all_or_nothing(transactions: Transactions) -> None:
    transactions.commit(elements.add(TABLE, [FIRST]))
    before = shown()
    other = Published("tcp", "", 8080, "172.17.0.9", 80).element()
    refused = {
        errno.EEXIST: elements.add(TABLE, [*REST, other]),
        errno.ENOENT: elements.remove(TABLE, EVERYTHING),
    }
    for code, messages in refused.items():
        with pytest.raises(NftError) as failure:
            transactions.commit(messages)
        assert failure.value.errno == code
        assert shown() == before
    with pytest.raises(NftError):
        transactions.commit(elements.add("wherry_missing", EVERYTHING))
    transactions.commit(elements.add(TABLE, EVERYTHING))  # no answer of before is taken for one to this


def test_what_cannot_be_sent_is_a_refusal(transactions: Transactions) -> None:
    transactions.close()
    with pytest.raises(NftError) as failure:
        transactions.commit(elements.add(TABLE, EVERYTHING))
    assert failure.value.errno == errno.EBADF


def test_every_port_at_once(transactions: Transactions) -> None:
    """More than a message, and than a socket's buffer, holds."""
    every = [Published("tcp", "", port, "172.17.0.2", port).element() for port in range(1, 65536)]
    transactions.commit(elements.add(TABLE, every))
    assert shown().count("tcp . ") == len(every)
    transactions.commit(elements.remove(TABLE, every))
    assert "tcp . " not in shown()


def test_a_watch_that_missed_changes_hears_of_the_next(transactions: Transactions) -> None:
    """On the daemon's own loop, which drops a reader when its socket has an error: the kernel's for lost messages."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_a_watch_that_missed_changes(transactions))


async def _a_watch_that_missed_changes(transactions: Transactions) -> None:
    every = [Published("tcp", "", port, "172.17.0.2", port).element() for port in range(1, 65536)]
    changes: asyncio.Queue[Change] = asyncio.Queue()
    watch = Watch()
    watch.start(changes.put_nowait)
    transactions.commit(
        elements.add(TABLE, every)
    )  # more than the socket's buffer takes, the loop being away
    while (await asyncio.wait_for(changes.get(), 10)).generation is not None:
        pass
    await asyncio.sleep(0.1)
    transactions.commit(elements.remove(TABLE, [FIRST]))
    while (await asyncio.wait_for(changes.get(), 10)).generation is None:
        pass
    watch.stop()
    watch.close()


class Interrupted(Transactions):
    """Another program changes the table before and after each transaction, before it is known which was whose."""

    def commit(self, messages: Sequence[Message]) -> None:
        run("nft", "add chain", f"inet {TABLE} theirs")
        super().commit(messages)
        run("nft", "delete chain", f"inet {TABLE} theirs")


class InterruptedNft(Nft):
    """The same with libnftables."""

    def run(self, commands: str) -> str:
        run("nft", "add table inet theirs")
        text = super().run(commands)
        run("nft", "delete table inet theirs")
        return text


async def test_our_own_changes_are_known_among_others(transactions: Transactions) -> None:
    changes: asyncio.Queue[Change] = asyncio.Queue()
    watch = Watch()
    watch.start(changes.put_nowait)
    interrupted = Interrupted()
    table = Table(Ruleset(TABLE, 1), InterruptedNft(), interrupted)
    table.add([FIRST])
    table.remove([FIRST])
    table.replace()
    transactions.commit(elements.add(TABLE, [FIRST]))
    told = [table.is_ours(await asyncio.wait_for(changes.get(), 10)) for _ in range(10)]
    assert told == [False, True, False] * 3 + [False]
    watch.stop()
    for opened in (watch, interrupted, table):
        opened.close()


def test_a_lock_is_its_sockets(transactions: Transactions) -> None:
    lock = elements.lock("wherry_lock_00")
    transactions.commit([lock])
    other = Transactions()
    with pytest.raises(NftError) as failure:
        other.commit([lock])
    assert failure.value.errno == errno.EPERM
    other.close()
    assert "wherry_lock_00" in run("nft", "list", "tables")
    transactions.close()
    assert "wherry_lock_00" not in run("nft", "list", "tables")


GROWTH = """
import sys
from pathlib import Path
from network.nftables.apply import Nft

def private():
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty"))

nft = Nft()
nft.query("list chains arp")
before = private()
nft.run(sys.argv[1])
assert len(nft.query("list tables inet")) > 60
print(private() - before)
"""


@pytest.mark.usefixtures("ground")
def test_nothing_is_kept_of_others_rulesets(tmp_path: Path) -> None:
    """By a process of its own: what other tests have used and freed is none of this one's."""
    theirs = tmp_path / "theirs.nft"
    theirs.write_text("".join(ruleset.replace(Ruleset(f"theirs{number}", 1)) for number in range(60)))
    run("nft", "-f", str(theirs))
    grown = int(run(sys.executable, "-c", GROWTH, ruleset.replace(Ruleset(TABLE, 1))))
    assert grown < 4 << 10  # a context that is kept has 30 MB


@pytest.mark.usefixtures("ground")
def test_a_process_with_thousands_of_descriptors_uses_nft() -> None:
    """libnftables waits by select(), which ends the process at descriptor 1024."""
    many = [os.open("/dev/null", os.O_RDONLY) for _ in range(1200)]
    try:
        Nft().run(ruleset.replace(Ruleset(TABLE, 1)))
        assert len(Nft().query("list tables inet")) == 2
        assert all(os.fstat(fd) for fd in many)
    finally:
        for fd in many:
            os.close(fd)
