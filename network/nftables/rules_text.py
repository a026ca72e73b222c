"""The chains, and the sets and maps that they look into.

Bridges, ports and links are elements, so the thousandth costs what the first one costs:

- `any4`, `any6`: (protocol, host port) -> (container address, port), for ports published on every address of the host;
- `addr4`, `addr6`: (host address, protocol, host port) -> the same, for ports published on one address;
- `own4`, `own6`: (bridge, its subnet); `masq`, `snat`: how a subnet is seen outside; `guard`: subnets whose containers
  are not reached by their own addresses from outside, but for `trusted` (interface, subnet);
- `icc`, `quiet`: (bridge, bridge) whose containers do and do not see each other; `open`, `ping`: (bridge, family)
  that let all and ICMP in; `opened`: (container, protocol, port); `link`: (from, to, protocol, port).

Hazards that the rules answer:

- An accept in our chain cannot override a drop policy in somebody else's base chain. Our forward chain decides one step
  before `filter` and marks what it lets through; a static rule elsewhere accepts what is marked.
- `route_localnet` on our bridges lets 127.0.0.1 reach a published port, and would let a container reach the host's
  loopback services; on other interfaces (others set it) a neighbour would. `raw_pre` drops what is for 127.0.0.0/8 and
  comes from any wire: a loopback address is never right there.
- Whoever routes to a container's address by this host would meet its port behind the DNAT of others: `guard` drops what
  is not an answer before any DNAT. Docker does so in raw and loses the answers where there is no masquerade.
- A dockerd beside us isolates its networks by a chain that the mark would pass by: its default bridge is reached by
  published ports alone.
- An internal network may use the host's address on its own bridge and no other address of the host.
- The kernel cannot lead [::1] or a link-local client elsewhere; the held socket and its proxy serve them.
"""

from __future__ import annotations

from typing import Final

_SETS: Final = {
    "bridges": "type ifname;",
    "internal": "type ifname;",
    "icc": "type ifname . ifname;",
    "quiet": "type ifname . ifname;",
    "open": "type ifname . nf_proto;",
    "ping": "type ifname . nf_proto;",
    "own4": "type ifname . ipv4_addr; flags interval;",
    "own6": "type ifname . ipv6_addr; flags interval;",
    "masq4": "type ipv4_addr; flags interval;",
    "masq6": "type ipv6_addr; flags interval;",
    "guard4": "type ipv4_addr; flags interval;",
    "guard6": "type ipv6_addr; flags interval;",
    "trusted4": "type ifname . ipv4_addr; flags interval;",
    "trusted6": "type ifname . ipv6_addr; flags interval;",
    "opened4": "type ipv4_addr . inet_proto . inet_service;",
    "opened6": "type ipv6_addr . inet_proto . inet_service;",
    "link4": "type ipv4_addr . ipv4_addr . inet_proto . inet_service;",
    "link6": "type ipv6_addr . ipv6_addr . inet_proto . inet_service;",
}
_MAPS: Final = {
    "any4": "type inet_proto . inet_service : ipv4_addr . inet_service;",
    "any6": "type inet_proto . inet_service : ipv6_addr . inet_service;",
    "addr4": "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;",
    "addr6": "type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service;",
    "snat4": "type ipv4_addr : ipv4_addr; flags interval;",
    "snat6": "type ipv6_addr : ipv6_addr; flags interval;",
}
_CHAINS: Final = {
    "raw_pre": "type filter hook prerouting priority raw; policy accept;",
    "guard_pre": "type filter hook prerouting priority mangle; policy accept;",
    "nat_pre": "type nat hook prerouting priority dstnat; policy accept;",
    "nat_out": "type nat hook output priority dstnat; policy accept;",
    "nat_post": "type nat hook postrouting priority srcnat; policy accept;",
    "input": "type filter hook input priority filter - 1; policy accept;",
    "forward": "type filter hook forward priority filter - 1; policy accept;",
    "guard": "",
    "publish": "",
    "to_bridge": "",
    "from_bridge": "",
    "ok": "",
}

SETS: Final = tuple(_SETS)
MAPS: Final = tuple(_MAPS)

DECLARATIONS: Final = "".join(
    f"\t{kind} {name} {{ {body} }}\n"
    for kind, those in (("set", _SETS), ("map", _MAPS), ("chain", _CHAINS))
    for name, body in those.items()
)

RULES: Final = """\
	chain raw_pre {
		iifname != "lo" ip daddr 127.0.0.0/8 drop
	}
	chain guard_pre {
		ct state established,related accept
		ip daddr @guard4 goto guard
		ip6 daddr @guard6 goto guard
	}
	chain guard {
		fib daddr type != unicast return
		iifname . ip daddr @own4 return
		iifname . ip6 daddr @own6 return
		iifname . ip daddr @trusted4 return
		iifname . ip6 daddr @trusted6 return
		drop
	}
	chain nat_pre {
		ip daddr 127.0.0.0/8 return
		fib daddr type local goto publish
	}
	chain nat_out {
		ip6 daddr ::1 return
		fib daddr type local goto publish
	}
	chain publish {
		ip6 saddr fe80::/10 return
		dnat ip to ip daddr . meta l4proto . th dport map @addr4
		dnat ip to meta l4proto . th dport map @any4
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @addr6
		dnat ip6 to meta l4proto . th dport map @any6
	}
	chain nat_post {
		oifname . ip saddr @own4 ct status dnat masquerade
		oifname . ip6 saddr @own6 ct status dnat masquerade
		oifname . ip saddr @own4 return
		oifname . ip6 saddr @own6 return
		snat ip to ip saddr map @snat4
		snat ip6 to ip6 saddr map @snat6
		ip saddr @masq4 masquerade
		ip6 saddr @masq6 masquerade
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
	}
	chain input {
		iifname @internal fib daddr . iif type unicast drop
	}
	chain forward {
		oifname @bridges goto to_bridge
		iifname @bridges goto from_bridge
	}
	chain to_bridge {
		ct state established,related goto ok
		iifname . oifname @icc goto ok
		ip saddr . ip daddr . meta l4proto . th dport @link4 goto ok
		ip6 saddr . ip6 daddr . meta l4proto . th dport @link6 goto ok
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } goto ok
		oifname @internal drop
		iifname @internal drop
		ct status dnat goto ok
		iifname . oifname @quiet drop
		ip daddr . meta l4proto . th dport @opened4 goto ok
		ip6 daddr . meta l4proto . th dport @opened6 goto ok
		oifname . meta nfproto @ping meta l4proto { icmp, ipv6-icmp } goto ok
		oifname . meta nfproto @open goto ok
		drop
	}
	chain from_bridge {
		iifname @internal drop
		oifname "docker0" ct state new ct status ! dnat drop
		goto ok
	}
	chain ok {
		meta mark set meta mark | @MARK@
		accept
	}
"""
