"""What containers are told at 127.0.0.11, by wherry and by dockerd: names, aliases, links, reverse names, failures."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest

from network import netns
from tests.daemon import Wherryd
from tests.network.dns_client import Nameserver, Reply, answer, ask, exchange, query
from tests.peer.peer import Peer

pytestmark = pytest.mark.root

NETWORKS = (
    ("na", "--subnet", "10.60.0.0/24"),
    ("nb", "--subnet", "10.61.0.0/24", "--internal"),
    ("n6", "--ipv6", "--subnet", "10.62.0.0/24", "--subnet", "fd00:62::/64"),
)
ALIASES = ("--network-alias", "Al", "--network-alias", "svc")
NO_IPV6 = ("--sysctl", "net.ipv6.conf.all.disable_ipv6=1")
CONTAINERS = (
    ("ns", "--network", "na", "--ip", "10.60.0.53"),
    ("web", "--network", "na", "--ip", "10.60.0.10", *ALIASES, "-h", "hosty"),
    (
        "own",
        "-h",
        "owner",
        "--network",
        "na",
        "--ip",
        "10.60.0.11",
        *ALIASES[2:],
        "--dns",
        "10.60.0.53",
        "--link",
        "web:sql",
    ),
    ("inner", "--network", "nb", "--ip", "10.61.0.10"),
    ("six", "--network", "n6", "--ip", "10.62.0.10", "--ip6", "fd00:62::10"),
    ("default", "--dns", "10.60.0.53"),
    ("nosix", "-h", "nosix.a", "--network", "n6", "--ip", "10.62.0.20", *NO_IPV6, "--add-host", "x:fd00::9"),
    ("dotted", "--network", "na", "--dns", "10.60.0.53", "--dns-opt", "ndots:2", "--dns-search", "a.example"),
)
UPSTREAM = "198.51.100.7"
REVERSE, REVERSE6 = (ip_address(each).reverse_pointer for each in ("10.60.0.10", "fd00:62::10"))
# Where dockerd asks outside about a name that it knows, or about one in other letters, wherry answers by itself.
OURS_ALONE = {("web.NA", "A"), ("SQL", "A"), ("web", "TXT"), ("web", "HTTPS"), ("web", "ANY"), (REVERSE, "A")}


@dataclass
class Side:
    """A daemon with the containers, and what its nameserver heard."""

    daemon: Wherryd | Peer
    namespaces: dict[str, int]
    nameserver: Nameserver

    def ask(
        self, container: str, name: str, kind: str = "A", *, tcp: bool = False
    ) -> tuple[Reply | None, bool]:
        """The answer, its records sorted, and whether the container's own nameserver was asked."""
        before = len(self.nameserver.seen)
        reply = ask(self.namespaces[container], name, kind, tcp=tcp, seconds=10)
        if reply is not None:
            reply = replace(reply, records=tuple(sorted(reply.records)))
        return reply, len(self.nameserver.seen) > before

    def file(self, container: str, path: str) -> str:
        output = self.daemon.docker("exec", container, "cat", path).stdout
        return output if isinstance(output, str) else output.decode()


def _up(daemon: Wherryd | Peer) -> Side:
    for network, *options in NETWORKS:
        daemon.docker("network", "create", *options, network)
    namespaces = {}
    for name, *arguments in CONTAINERS:
        daemon.docker("run", "-d", "--name", name, *arguments, "busybox", "sleep", "1000")
        pid = json.loads(daemon.docker("inspect", name).stdout)[0]["State"]["Pid"]
        namespaces[name] = netns.open_of(pid)
    nameserver = Nameserver(lambda seen: [answer(seen.request, UPSTREAM)])
    nameserver.start(namespaces["ns"], "10.60.0.53")
    return Side(daemon, namespaces, nameserver)


def _down(side: Side) -> None:
    side.nameserver.close()
    side.daemon.docker("rm", "-f", *side.namespaces)
    side.daemon.docker("network", "rm", *(network for network, *_ in NETWORKS))


@pytest.fixture(scope="module")
def sides(peer_wherryd: Wherryd, peer: Peer) -> Iterator[tuple[Side, Side]]:
    ours, theirs = _up(peer_wherryd), _up(peer)
    yield ours, theirs
    _down(ours)
    _down(theirs)


QUESTIONS = [
    ("own", name, kind)
    for name, kind in (
        *(
            (each, "A")
            for each in ("web", "WEB", "al", "svc", "hosty", "web.na", "sql", "sql.na", "own", "nope")
        ),
        *((each, "A") for each in ("web.nb", "web.na.na", "na", "x.example", "inner", "six", "localhost")),
        *(("web", kind) for kind in ("AAAA", "MX", "SRV")),
        *(("nope", kind) for kind in ("AAAA", "MX", "TXT", "PTR")),
        (REVERSE, "PTR"),
        ("99.0.60.10.in-addr.arpa", "PTR"),
        ("10.0.61.10.in-addr.arpa", "PTR"),
    )
] + [
    ("web", "svc", "A"),
    ("web", "own.na", "A"),
    ("inner", "inner", "A"),
    ("inner", "web", "A"),
    ("inner", "x.example", "A"),
    ("six", "six", "A"),
    ("six", "six", "AAAA"),
    ("six", REVERSE6, "PTR"),
    ("six", "nosix", "A"),
    ("six", "nosix", "AAAA"),
    ("nosix", "six", "AAAA"),
    ("dotted", "web", "A"),
    ("dotted", "nope", "A"),
    ("dotted", "nope", "TXT"),
    ("dotted", "nope.example", "A"),
]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize(("container", "name", "kind"), QUESTIONS)
def test_answers(sides: tuple[Side, Side], container: str, name: str, kind: str, tcp: bool) -> None:
    ours, theirs = (side.ask(container, name, kind, tcp=tcp) for side in sides)
    if (name, kind) == ("web", "SRV"):
        assert theirs[1]
        assert ours == (Reply("NOERROR", frozenset(("RD", "RA")), "web.", ()), False)
        return
    assert ours == theirs


@pytest.mark.parametrize(("name", "kind"), sorted(OURS_ALONE))
def test_what_dockerd_asks_outside_about_its_own_names(
    sides: tuple[Side, Side], name: str, kind: str
) -> None:
    (reply, asked), (_, asked_by_theirs) = (side.ask("own", name, kind) for side in sides)
    assert (asked, asked_by_theirs) == (False, True)
    assert reply is not None
    assert reply.rcode == "NOERROR"
    assert [each[2] for each in reply.records] == [600] * len(reply.records)


GOOD = query("web", ident=b"\1\2")
RAW = {
    "two questions": GOOD[:5] + b"\2" + GOOD[6:],
    "two answers": GOOD[:7] + b"\2" + GOOD[8:],
    "two authorities": GOOD[:9] + b"\2" + GOOD[10:],
    "three more": GOOD[:11] + b"\3" + GOOD[12:],
    "one answer": GOOD[:7] + b"\1" + GOOD[8:],
    "an update": GOOD[:2] + b"\x28\0" + GOOD[4:],
    "a notification": GOOD[:2] + b"\x20\0" + GOOD[4:],
    "a pointer": GOOD[:12] + b"\xc0\x0c\0\1\0\1",
    "a long label": GOOD[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1",
    "an answer": GOOD[:2] + b"\x81\0" + GOOD[4:],
    "no recursion": GOOD[:2] + b"\0\0" + GOOD[4:],
    "no checking": GOOD[:2] + b"\1\x10" + GOOD[4:],
    "a flag of no meaning": GOOD[:2] + b"\1\x60" + GOOD[4:],
    "bytes behind it": GOOD + b"xxxx",
    "less than a header": GOOD[:11],
}


@pytest.mark.parametrize("kind", RAW)
def test_odd_messages(sides: tuple[Side, Side], kind: str) -> None:
    """Byte for byte, but for names of records, which wherry writes as pointers."""
    ours, theirs = _told(sides, RAW[kind], seconds=0.5)
    if ours != theirs:
        ours, theirs = _told(sides, RAW[kind], seconds=10)  # one of them may be slow
    assert ours == theirs


def _told(sides: tuple[Side, Side], message: bytes, seconds: float) -> tuple[bytes | None, bytes | None]:
    """What both answer in time, as far as that is meant to be the same."""
    ours, theirs = (
        netns.inside(side.namespaces["own"], lambda: exchange(message, seconds=seconds)) for side in sides
    )
    owner = b"\x03web\0"
    if theirs is not None and theirs.count(owner) == 2:
        head, name, tail = theirs.rpartition(owner)
        assert name
        theirs = head + b"\xc0\x0c" + tail
    return ours, theirs


@pytest.mark.parametrize("container", ["own", "web", "inner", "six", "nosix", "default", "dotted"])
def test_resolv_conf(sides: tuple[Side, Side], container: str) -> None:
    ours, theirs = (side.file(container, "/etc/resolv.conf") for side in sides)
    assert ours == theirs


def test_hosts_where_there_is_no_ipv6(sides: tuple[Side, Side]) -> None:
    ours, theirs = (side.file("nosix", "/etc/hosts") for side in sides)
    assert ours == theirs == "127.0.0.1\tlocalhost\n10.62.0.20\tnosix.a nosix\n"


def test_files_follow_networks(sides: tuple[Side, Side]) -> None:
    for side in sides:
        side.daemon.docker("network", "connect", "--ip", "10.62.0.77", "--ip6", "fd00:62::77", "n6", "own")
    for path in ("/etc/hosts", "/etc/resolv.conf"):
        ours, theirs = (side.file("own", path) for side in sides)
        assert ours == theirs
    for side in sides:
        side.daemon.docker("network", "disconnect", "n6", "own")
    ours, theirs = (side.file("own", "/etc/hosts") for side in sides)
    assert ours == theirs + "10.60.0.11\towner\n"  # dockerd forgets the networks that stay, too
    for side in sides:
        side.daemon.docker("network", "connect", "na", "default", "--ip", "10.60.0.88")
    ours, theirs = (side.file("default", "/etc/resolv.conf") for side in sides)
    assert ours == theirs
    assert sides[0].ask("default", "web") == sides[1].ask("default", "web")
    for side in sides:
        side.daemon.docker("network", "disconnect", "na", "default")
