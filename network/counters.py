"""What went through the interfaces of a container, as the kernel counts it."""

from pathlib import Path

import msgspec

_FIELDS = 16


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """One interface, since it was made."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


def read(pid: int) -> dict[str, Counters]:
    """The interfaces that the network gave to the namespace of a process, by name; {} when it is gone. Blocks.

    Those that are called otherwise (`lo`, and what a container makes for itself) are nobody's traffic but its own.
    """
    try:
        text = Path(f"/proc/{pid}/net/dev").read_text()
    except OSError:
        return {}
    return {name: found for name, found in parse(text).items() if name.startswith("eth")}


def parse(text: str) -> dict[str, Counters]:
    """From the text of /proc/net/dev: two lines of titles, then an interface a line."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.rpartition(":")
        values = [int(word) for word in rest.split()]
        if len(values) >= _FIELDS:
            found[name.strip()] = _counters(values)
    return found


def _counters(values: list[int]) -> Counters:
    return Counters(
        rx_bytes=values[0],
        rx_packets=values[1],
        rx_errors=values[2],
        rx_dropped=values[3],
        tx_bytes=values[8],
        tx_packets=values[9],
        tx_errors=values[10],
        tx_dropped=values[11],
    )
