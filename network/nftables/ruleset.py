"""The ruleset of one instance as a value, and its text in nft's language.

Publishing a port is one element in one of two maps, so the thousandth port costs what the first one costs:

- `any4`: (protocol, host port) -> (container address, port), for ports published on every address of the host;
- `addr4`: (host address, protocol, host port) -> the same, for ports published on one address.

Hazards that the rules answer:

- An accept in our chain cannot override a drop policy in somebody else's base chain. Our forward chain decides one step
  before `filter` and marks what it lets through; a static rule elsewhere accepts what is marked.
- `route_localnet` on our bridges lets 127.0.0.1 reach a published port, and would let a container reach the host's
  loopback services: `raw_pre` drops 127.0.0.0/8 that comes from a bridge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Final, Literal

Protocol = Literal["tcp", "udp", "sctp"]

CHAINS: Final = (
    "raw_pre",
    "nat_pre",
    "nat_out",
    "publish",
    "nat_post",
    "forward",
    "to_bridge",
    "from_bridge",
    "ok",
)
SETS: Final = ("bridges", "icc", "own4", "masq4")
MAPS: Final = ("any4", "addr4")

_DECLARATIONS: Final = """\
	set bridges { type ifname; }
	set icc { type ifname . ifname; }
	set own4 { type ifname . ipv4_addr; flags interval; }
	set masq4 { type ipv4_addr; flags interval; }
	map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
	map addr4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
	chain raw_pre { type filter hook prerouting priority raw; policy accept; }
	chain nat_pre { type nat hook prerouting priority dstnat; policy accept; }
	chain nat_out { type nat hook output priority dstnat; policy accept; }
	chain nat_post { type nat hook postrouting priority srcnat; policy accept; }
	chain forward { type filter hook forward priority filter - 1; policy accept; }
	chain publish { }
	chain to_bridge { }
	chain from_bridge { }
	chain ok { }
"""

_RULES: Final = """\
	chain raw_pre {
		iifname @bridges ip daddr 127.0.0.0/8 drop
	}
	chain nat_pre {
		ip daddr 127.0.0.0/8 return
		fib daddr type local goto publish
	}
	chain nat_out {
		fib daddr type local goto publish
	}
	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @addr4
		dnat ip to meta l4proto . th dport map @any4
	}
	chain nat_post {
		oifname . ip saddr @own4 ct status dnat masquerade
		oifname . ip saddr @own4 return
		ip saddr @masq4 masquerade
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
	}
	chain forward {
		oifname @bridges goto to_bridge
		iifname @bridges goto from_bridge
	}
	chain to_bridge {
		ct state established,related goto ok
		iifname . oifname @icc goto ok
		ct status dnat goto ok
		drop
	}
	chain from_bridge {
		goto ok
	}
	chain ok {
		meta mark set meta mark | @MARK@
		accept
	}
"""


@dataclass(frozen=True, slots=True)
class Bridge:
    """What the rules know of a bridge: its subnet is masqueraded towards the outside, its containers see each other."""

    name: str
    subnet: IPv4Network


@dataclass(frozen=True, slots=True)
class Published:
    """One element: a port of the host that leads to a container. `host_ip` "" is every IPv4 address of the host."""

    proto: Protocol
    host_ip: str
    host_port: int
    container_ip: str
    container_port: int


@dataclass(slots=True)
class Ruleset:
    """Everything in the table of one instance. `published` is kept by the controller as ports come and go."""

    table: str
    mark: int
    bridges: tuple[Bridge, ...] = ()
    published: set[Published] = field(default_factory=set)


def table_name(instance: str) -> str:
    """The table of an instance."""
    return f"wherry_{instance}"


def replace(ruleset: Ruleset, *, keep_ports: bool = False) -> str:
    """Make the table hold exactly this ruleset, in one transaction, whether it exists or not.

    Chains and sets are kept and refilled: no packet meets a moment without rules, which deleting and adding the table
    does not give. `keep_ports`: elements of published ports that are there stay, while it is not known whose they are.
    """
    table = f"inet {ruleset.table}"
    lines = [f"table {table} {{\n{_DECLARATIONS}}}", f"flush table {table}"]
    lines += [f"flush set {table} {name}" for name in SETS]
    lines += [] if keep_ports else [f"flush map {table} {name}" for name in MAPS]
    lines.append(f"table {table} {{\n{_RULES.replace('@MARK@', f'0x{ruleset.mark:08x}')}}}")
    lines += _bridge_elements(ruleset)
    lines += add(ruleset.table, ruleset.published)
    return "\n".join(lines) + "\n"


def recreate(ruleset: Ruleset) -> str:
    """As `replace`, for a table left by a version whose chains or sets are of another type: it is deleted first."""
    table = f"inet {ruleset.table}"
    return f"table {table} {{ }}\ndelete table {table}\n{replace(ruleset)}"


def add(table: str, published: Iterable[Published]) -> list[str]:
    """Commands that add elements; they fail when one is there with another target."""
    return [
        f"add element inet {table} {name} {{ {', '.join(f'{key} : {target}' for key, target in elements)} }}"
        for name, elements in _by_map(published).items()
    ]


def delete(table: str) -> str:
    """Remove the whole table; an absent one is no failure."""
    return f"table inet {table} {{ }}\ndelete table inet {table}\n"


def _by_map(published: Iterable[Published]) -> dict[str, list[tuple[str, str]]]:
    maps: dict[str, list[tuple[str, str]]] = {}
    for each in sorted(published, key=lambda each: (each.host_ip, each.proto, each.host_port)):
        key = f"{each.proto} . {each.host_port}"
        name = "any4"
        if each.host_ip:
            name, key = "addr4", f"{each.host_ip} . {key}"
        maps.setdefault(name, []).append((key, f"{each.container_ip} . {each.container_port}"))
    return maps


def _bridge_elements(ruleset: Ruleset) -> list[str]:
    if not ruleset.bridges:
        return []
    names = {
        "bridges": [f'"{each.name}"' for each in ruleset.bridges],
        "icc": [f'"{each.name}" . "{each.name}"' for each in ruleset.bridges],
        "own4": [f'"{each.name}" . {each.subnet}' for each in ruleset.bridges],
        "masq4": [str(each.subnet) for each in ruleset.bridges],
    }
    return [
        f"add element inet {ruleset.table} {name} {{ {', '.join(those)} }}" for name, those in names.items()
    ]
