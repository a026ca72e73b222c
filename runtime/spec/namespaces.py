"""Which namespaces of the kernel a container has to itself."""

from typing import Any

import msgspec

NEW = "new"
"""The runtime makes a namespace for this container."""

HOST = "host"
"""The container stays in the host's."""


class Namespaces(msgspec.Struct, frozen=True, kw_only=True):
    """One word a kind: NEW, HOST or the absolute path of a namespace to join (/proc/<pid>/ns/…).

    The mount namespace is always new. `own_network` says that the network namespace belongs to this
    container alone, also when the daemon made it and `network` is a path: only then Docker's network sysctls
    are set. A container that joins another's network has it False.
    """

    network: str = NEW
    own_network: bool = True
    ipc: str = NEW
    pid: str = NEW
    uts: str = NEW
    cgroup: str = HOST
    user: str = HOST

    def to_oci(self) -> list[dict[str, Any]]:
        """Return linux.namespaces in Docker's order."""
        kinds = (
            ("network", self.network),
            ("uts", self.uts),
            ("pid", self.pid),
            ("ipc", self.ipc),
            ("cgroup", self.cgroup),
            ("user", self.user),
        )
        return [{"type": "mount"}, *(_entry(kind, word) for kind, word in kinds if word != HOST)]


def _entry(kind: str, word: str) -> dict[str, Any]:
    return {"type": kind} if word == NEW else {"type": kind, "path": word}
