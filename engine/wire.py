"""Names as the wire has them: snake_case here, Docker's PascalCase there."""

import msgspec

_WORDS = {
    "api": "API",
    "cpu": "Cpu",
    "dns": "Dns",
    "id": "ID",
    "io": "IO",
    "ip": "IP",
    "ipam": "IPAM",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "iops": "IOps",
    "uts": "UTS",
}


def wire_name(field: str) -> str:
    """Docker's name of a field: `link_local_ips` gives `LinkLocalIPs`."""
    return "".join(_WORDS.get(word, word.capitalize()) for word in field.split("_"))


class Noun(msgspec.Struct, rename=wire_name, kw_only=True):
    """A thing of the API that is both received and stored.

    Defaults are Go's zero values, `None` where Go has a nil slice, map or pointer: the difference between null and
    empty survives a round trip.
    """
