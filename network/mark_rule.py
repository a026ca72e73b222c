"""The rule that lets marked packets through where a FORWARD chain of the host may drop them.

iptables itself is run to write it, for only it writes rules that it can read; it takes some milliseconds, once. The
rule names the instance in its comment.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Iterable
from typing import Final

from network import legacy_tables
from network.nftables.apply import Nft
from network.nftables.element import Family
from network.nftables.transaction import NftError

_log = logging.getLogger(__name__)

_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"
_LIMIT: Final = 1 << 20
_PROGRAMS: Final[dict[Family, str]] = {"ipv4": "iptables", "ipv6": "ip6tables"}
_NFT_FAMILIES: Final[dict[Family, str]] = {"ipv4": "ip", "ipv6": "ip6"}


class MarkRule:
    """One rule in each FORWARD chain that filters. Blocks: for the worker's thread."""

    def __init__(self, nft: Nft, mark: int, comment: str) -> None:
        self._nft = nft
        self._comment = comment.encode()
        mask = f"0x{mark:x}/0x{mark:x}"
        self._rule = ["-m", "mark", "--mark", mask, "-m", "comment", "--comment", comment, "-j", "ACCEPT"]

    def ensure(self, families: Iterable[Family]) -> None:
        """Put the rule where a FORWARD chain could drop what we accept; nothing is done where none does."""
        for family in families:
            program = self._nft_program(family)
            if program is not None and iptables(program, "-C", "FORWARD", *self._rule)[0] != 0:
                self._insert(program)
            legacy = _legacy(family)
            if legacy is not None and self.is_missing(family):
                self._insert(legacy)

    def is_missing(self, family: Family) -> bool:
        """Whether iptables-legacy filters and has lost the rule: nobody is told when that happens. Quick."""
        chain = legacy_tables.forward(family)
        return chain is not None and chain.filters and self._comment not in chain.rules

    def remove(self) -> None:
        """Take the rule away wherever it is."""
        for family in _PROGRAMS:
            for program in (self._nft_program(family), _legacy(family)):
                while program is not None and iptables(program, "-C", "FORWARD", *self._rule)[0] == 0:
                    if iptables(program, "-D", "FORWARD", *self._rule)[0] != 0:
                        break

    def _insert(self, program: str) -> None:
        code, output = iptables(program, "-I", "FORWARD", "1", *self._rule)
        if code != 0:
            _log.warning("%s: containers may not reach the outside: %s", program, output.strip())

    def _nft_program(self, family: Family) -> str | None:
        """iptables on nftables, where its FORWARD chain is there and not a plain accept."""
        try:
            objects = self._nft.query(f"list chain {_NFT_FAMILIES[family]} filter FORWARD")
        except NftError:  # no such chain
            return None
        dropping = any(each["chain"].get("policy") == "drop" for each in objects if "chain" in each)
        if not dropping and not any("rule" in each for each in objects):
            return None
        name = _PROGRAMS[family]
        return find(f"{name}-nft") or find(name)


def program(family: Family) -> str | None:
    """The path of the host's iptables of a family, None where it is not installed."""
    return find(_PROGRAMS[family])


def find(name: str) -> str | None:
    """The path of a program, None where it is not installed."""
    return shutil.which(name, path=_PATH)


def _legacy(family: Family) -> str | None:
    return find(f"{_PROGRAMS[family]}-legacy") if legacy_tables.exists(family) else None


def iptables(path: str, *arguments: str) -> tuple[int, str]:
    """(exit code, output) of a program of the iptables family, which waits for others of it."""
    return run(path, "-w", "5", *arguments)


def run(path: str, *arguments: str) -> tuple[int, str]:
    """(exit code, output) of a short program; waits for it."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, writer, 1),
        (os.POSIX_SPAWN_DUP2, writer, 2),
    ]
    with os.fdopen(reader, "rb") as output:
        try:
            pid = os.posix_spawn(
                path,
                [path, *arguments],
                {"PATH": _PATH},
                file_actions=actions,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE,),
            )
        finally:
            os.close(writer)
        text = output.read(_LIMIT).decode(errors="replace")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text
