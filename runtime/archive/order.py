"""What a worker is asked, and how a file's facts are told: values that go to and fro as JSON."""

from typing import Any, NamedTuple

from runtime.mount import Mount
from runtime.spec.identity import HOST, Identity


class Part(NamedTuple):
    """What a container has at `destination`: a running one what it mounts there, another one the host's `source` if
    that is there.

    `read_only` is whether the container may not write there, `recursive` whether mounts below the host's source belong
    to it. `user`: it was asked for, and is told from the root when files are put there.
    """

    destination: str
    source: str
    read_only: bool = False
    recursive: bool = True
    user: bool = True


class View(NamedTuple):
    """How to see a container's files: the root is mounted on the empty directory `at`, and the parts on that, in order.

    The root is what is mounted at `rootfs` already, or else it is mounted by `mounts`. `read_only`: no files may be put
    into the root itself. What the container's ids are on the host, and so on all these mounts, is told by `identity`.
    """

    at: str
    rootfs: str
    mounts: list[Mount]
    parts: list[Part]
    read_only: bool
    identity: Identity = HOST

    def encode(self) -> dict[str, Any]:
        """As JSON has it."""
        mounts = [[each.type, each.source, list(each.options)] for each in self.mounts]
        return {**self._asdict(), "mounts": mounts, "identity": self.identity.to_lists()}

    @classmethod
    def decode(cls, order: dict[str, Any]) -> "View":
        """The inverse."""
        mounts = [
            Mount(type=kind, source=source, options=tuple(options))
            for kind, source, options in order["mounts"]
        ]
        parts = [Part(*part) for part in order["parts"]]
        identity = Identity.from_lists(order["identity"])
        return cls(order["at"], order["rootfs"], mounts, parts, order["read_only"], identity)


class PathStat(NamedTuple):
    """The facts of a file: `mode` is Go's os.FileMode, `mtime` in Unix nanoseconds, `link_target` where a link leads in
    the container's root, "" for what is none.
    """

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str
