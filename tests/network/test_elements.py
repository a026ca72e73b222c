"""Elements go to the kernel as netlink messages: nft reads them as its own, and a refused change changes nothing."""

import ctypes
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from network.nftables import elements, ruleset
from network.nftables.apply import Nft
from network.nftables.ruleset import Published, Ruleset
from network.nftables.transaction import NftError, Transactions
from tests.network.ground import Ground, run

pytestmark = pytest.mark.root

TABLE = "wherry_0badcafe"
PUBLISHED = [
    Published("tcp", "", 8080, "172.17.0.2", 80),
    Published("udp", "", 53, "172.17.0.3", 5353),
    Published("sctp", "", 65535, "10.255.0.1", 1),
    Published("tcp", "127.0.0.1", 8081, "172.17.0.2", 443),
    Published("udp", "192.0.2.2", 9, "10.1.2.3", 65535),
]


@pytest.fixture
def transactions(ground: Ground) -> Iterator[Transactions]:
    Nft().run(ruleset.replace(Ruleset(TABLE, 1)))
    transactions = Transactions()
    yield transactions
    transactions.close()


def shown() -> str:
    return run("nft", "-s", "list", "table", "inet", TABLE)


def test_nft_reads_what_it_would_have_written(transactions: Transactions) -> None:
    Nft().run("\n".join(ruleset.add(TABLE, PUBLISHED)))
    by_nft = shown()
    Nft().run(ruleset.replace(Ruleset(TABLE, 1)))
    empty = shown()
    transactions.commit(elements.add(TABLE, PUBLISHED))
    assert shown() == by_nft != empty
    transactions.commit(elements.add(TABLE, PUBLISHED))  # they are there already
    transactions.commit(elements.remove(TABLE, PUBLISHED))
    assert shown() == empty


def test_what_nft_added_can_be_removed(transactions: Transactions) -> None:
    empty = shown()
    Nft().run("\n".join(ruleset.add(TABLE, PUBLISHED)))
    transactions.commit(elements.remove(TABLE, PUBLISHED))
    assert shown() == empty


def test_all_or_nothing(transactions: Transactions) -> None:
    transactions.commit(elements.add(TABLE, PUBLISHED[:1]))
    before = shown()
    other = Published("tcp", "", 8080, "172.17.0.9", 80)
    refused = {
        errno.EEXIST: elements.add(TABLE, [*PUBLISHED[1:], other]),
        errno.ENOENT: elements.remove(TABLE, PUBLISHED),
    }
    for code, messages in refused.items():
        with pytest.raises(NftError) as failure:
            transactions.commit(messages)
        assert failure.value.errno == code
        assert shown() == before
    with pytest.raises(NftError):
        transactions.commit(elements.add("wherry_missing", PUBLISHED))
    transactions.commit(elements.add(TABLE, PUBLISHED))  # no answer of before is taken for one to this


def test_what_cannot_be_sent_is_a_refusal(transactions: Transactions) -> None:
    transactions.close()
    with pytest.raises(NftError) as failure:
        transactions.commit(elements.add(TABLE, PUBLISHED))
    assert failure.value.errno == errno.EBADF


def test_every_port_at_once(transactions: Transactions) -> None:
    """More than a message, and than a socket's buffer, holds."""
    every = [Published("tcp", "", port, "172.17.0.2", port) for port in range(1, 65536)]
    transactions.commit(elements.add(TABLE, every))
    assert shown().count("tcp . ") == len(every)
    transactions.commit(elements.remove(TABLE, every))
    assert "tcp . " not in shown()


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


@pytest.mark.usefixtures("ground")
def test_nothing_is_kept_of_others_rulesets(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.nft"
    theirs.write_text("".join(ruleset.replace(Ruleset(f"theirs{number}", 1)) for number in range(60)))
    run("nft", "-f", str(theirs))
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests have freed
    nft, before = Nft(), _private()
    nft.run(ruleset.replace(Ruleset(TABLE, 1)))
    assert len(nft.query("list tables inet")) > 60
    assert (
        _private() - before < 4 << 20
    )  # a context that is kept has 30 MB, or freed memory that is not given back


def _private() -> int:
    """Bytes of this process's own memory."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Private_Dirty"))
