"""The programs that the engine runs: their versions and features, asked once for each file on disk."""

import os
import re
import shutil
from collections.abc import Sequence

import msgspec

from runtime import spawn

FEATURES = "org.opencontainers.runtime-spec.features"

_TIMEOUT = 10
_VERSION = re.compile(r"\bversion[: ]+v?(\S+)")
_NUMBERS = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")

# The releases that close CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881.
_SAFE_RUNC = ((1, 2, 8), (1, 3, 3))


class Programs:
    """Answers of programs, remembered until the file of the program is another one."""

    def __init__(self) -> None:
        self._answers: dict[tuple[object, ...], bytes] = {}

    async def version(self, path: str, args: Sequence[str] = ()) -> str:
        """What a program says of its version ("1.1.15+ds1"), "" if it says nothing that is understood."""
        found = _VERSION.search((await self._ask((path, *args, "--version"))).decode(errors="replace"))
        return found[1] if found else ""

    async def features(self, path: str, args: Sequence[str]) -> dict[str, str]:
        """What a runtime says of its features, as /info shows it: empty if it does not know that question."""
        answer = await self._ask((path, *args, "features"))
        try:
            msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            return {}
        return {FEATURES: answer.decode().strip()}

    async def _ask(self, command: tuple[str, ...]) -> bytes:
        path = shutil.which(command[0], path=spawn.ENVIRONMENT["PATH"])
        if path is None:
            return b""
        try:
            status = os.stat(path)
        except OSError:
            return b""
        key = (command, status.st_dev, status.st_ino, status.st_mtime_ns)
        if key not in self._answers:
            try:
                done = await spawn.run(command, timeout=_TIMEOUT)
            except (OSError, TimeoutError):
                return b""
            self._answers[key] = done.stdout if done.returncode == 0 else b""
        return self._answers[key]


def runc_warning(version: str) -> str:
    """What is to be said of an old runc; "" for one that is new enough, or whose version is not known."""
    found = _NUMBERS.match(version)
    if found is None:
        return ""
    numbers = tuple(map(int, found.groups()))
    if numbers >= _SAFE_RUNC[1] or (_SAFE_RUNC[0] <= numbers < (1, 3, 0)):
        return ""
    return (
        f"WARNING: runc {version} is older than the releases (1.2.8, 1.3.3) that close CVE-2025-31133,"
        " CVE-2025-52565 and CVE-2025-52881: upgrade it unless your distribution has fixed it"
    )
