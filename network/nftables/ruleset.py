"""The ruleset of one instance as a value, and its text in nft's language. The rules are in `rules_text`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from network.nftables import bridge as bridges
from network.nftables import element
from network.nftables.bridge import Bridge
from network.nftables.element import Element
from network.nftables.entry import Entry
from network.nftables.rules_text import DECLARATIONS, MAPS, RULES, SETS


class Ruleset(msgspec.Struct):
    """Everything in the table of one instance. `bridges` (by name) and `entries` are kept as they come and go."""

    table: str
    mark: int
    bridges: dict[str, Bridge] = msgspec.field(default_factory=dict)
    entries: set[Entry] = msgspec.field(default_factory=set)

    def elements(self) -> Iterator[Element]:
        """All elements of all sets and maps."""
        for bridge in self.bridges.values():
            yield from bridges.elements(bridge)
        for entry in self.entries:
            yield entry.element()


def table_name(instance: str) -> str:
    """The table of an instance."""
    return f"wherry_{instance}"


def replace(ruleset: Ruleset, *, keep: bool = False) -> str:
    """Make the table hold exactly this ruleset, in one transaction, whether it exists or not.

    Chains and sets are kept and refilled: no packet meets a moment without rules, which deleting and adding the table
    does not give. `keep`: elements that are there stay, while it is not known whose they are.
    """
    table = f"inet {ruleset.table}"
    lines = [f"table {table} {{\n{DECLARATIONS}}}", f"flush table {table}"]
    if not keep:
        lines += [f"flush set {table} {name}" for name in SETS]
        lines += [f"flush map {table} {name}" for name in MAPS]
    lines.append(f"table {table} {{\n{RULES.replace('@MARK@', f'0x{ruleset.mark:08x}')}}}")
    lines += element.text(ruleset.table, ruleset.elements())
    return "\n".join(lines) + "\n"


def recreate(ruleset: Ruleset) -> str:
    """As `replace`, for a table left by a version whose chains or sets are of another type: it is deleted first."""
    table = f"inet {ruleset.table}"
    return f"table {table} {{ }}\ndelete table {table}\n{replace(ruleset)}"


def delete(table: str) -> str:
    """Remove the whole table; an absent one is no failure."""
    return f"table inet {table} {{ }}\ndelete table inet {table}\n"
