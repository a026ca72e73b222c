"""The host forwards packets of containers, and nobody else's on our account.

As Docker does: where forwarding was off and is switched on, the policy of iptables' FORWARD chain becomes DROP first,
so that the host does not become a router for others. What our own table accepts carries a mark; where a FORWARD chain
may drop it, one rule lets marked packets through. The rule names the instance in its comment. iptables itself is run
for that, for only it writes rules that it can read; it takes some milliseconds, once.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
from pathlib import Path
from typing import Final

import errdefs
from network import sysctl
from network.nftables.apply import Nft
from network.nftables.transaction import NftError

_log = logging.getLogger(__name__)

_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"
_LIMIT: Final = 1 << 20


class Forwarding:
    """Blocks: for the worker's thread."""

    def __init__(self, nft: Nft, mark: int, comment: str) -> None:
        self._nft = nft
        mask = f"0x{mark:x}/0x{mark:x}"
        self._rule = ["-m", "mark", "--mark", mask, "-m", "comment", "--comment", comment, "-j", "ACCEPT"]

    def enable(self) -> None:
        """Switch forwarding on. Raises SystemFailure when the host forbids it."""
        if sysctl.read("ipv4/ip_forward") == "1":
            return
        program = shutil.which("iptables", path=_PATH)
        if program is None:
            _log.warning("the host becomes a router: iptables is not there to set the FORWARD policy to DROP")
        else:
            _run(program, "-P", "FORWARD", "DROP")
        try:
            sysctl.write("ipv4/ip_forward", "1")
        except OSError as error:
            raise errdefs.SystemFailure(
                f"cannot enable IPv4 forwarding (net.ipv4.ip_forward=1): {error}"
            ) from error

    def ensure(self) -> None:
        """Put the rule where a FORWARD chain could drop what we accept; nothing is done where none does."""
        for program in self._programs():
            if _run(program, "-C", "FORWARD", *self._rule)[0] != 0:
                code, output = _run(program, "-I", "FORWARD", "1", *self._rule)
                if code != 0:
                    _log.warning("%s: containers may not reach the outside: %s", program, output.strip())

    def dismantle(self) -> None:
        """Remove the rule."""
        for program in self._programs():
            while _run(program, "-C", "FORWARD", *self._rule)[0] == 0:
                if _run(program, "-D", "FORWARD", *self._rule)[0] != 0:
                    break

    def _programs(self) -> list[str]:
        """The iptables variants whose FORWARD chain exists here and is not a plain accept."""
        found = []
        if self._nft_filters():
            found.append(shutil.which("iptables-nft", path=_PATH) or shutil.which("iptables", path=_PATH))
        legacy = shutil.which("iptables-legacy", path=_PATH)
        if legacy is not None and _legacy_table_exists() and _filters(_run(legacy, "-S", "FORWARD")[1]):
            found.append(legacy)
        return [program for program in found if program is not None]

    def _nft_filters(self) -> bool:
        try:
            objects = self._nft.query("list chain ip filter FORWARD")
        except NftError:  # no such chain
            return False
        dropping = any(each["chain"].get("policy") == "drop" for each in objects if "chain" in each)
        return dropping or any("rule" in each for each in objects)


def _filters(listing: str) -> bool:
    """Whether `iptables -S FORWARD` shows anything but an accepting policy."""
    return any(line and line != "-P FORWARD ACCEPT" for line in listing.splitlines())


def _legacy_table_exists() -> bool:
    try:
        return "filter" in Path("/proc/thread-self/net/ip_tables_names").read_text().split()
    except OSError:
        return False


def _run(program: str, *arguments: str) -> tuple[int, str]:
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
                program,
                [program, "-w", "5", *arguments],
                {"PATH": _PATH},
                file_actions=actions,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE,),
            )
        finally:
            os.close(writer)
        text = output.read(_LIMIT).decode(errors="replace")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text
