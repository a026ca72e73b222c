"""The contract of a snapshotter: filesystems made by stacking changes on one another.

Vocabulary. A *snapshot* is a filesystem state. A *committed* snapshot has a *name* and never changes; it
may be the *parent* of others. An *active* snapshot has a *key* and can be written to; a *view* has a key
and cannot. Names and keys share one space. A *layer* is the change between a snapshot and its parent.
Where a snapshot is to be seen it is mounted: `mounts` says how, `mount` does it.

Life cycle.

    prepare(key, parent) ──► active ──commit(name, key)──► committed ──► parent of others
    view(key, parent) ─────► view            any of them ──remove──► gone, if it has no children

`prepare` and `view` take a committed parent, or None for an empty filesystem. `commit` makes the active
snapshot durable under a name and uses up its key; it must not be mounted then. `remove` refuses a parent
of others. Every step is done or not done, also over a crash: what is half made is swept when the
snapshotter is opened. Removing a snapshot does not unmount it: unmount first. Snapshots of work that may
be done anew need not wait for the disk: what was committed `durable=False` is swept like that as well, until
`settle` has written all of it at once.

A layer is unpacked into `upper(key)` of an active snapshot, in the form `whiteouts` names, and then
committed. Where `stacks_late` says so, its parent is not needed before the commit, so that layers of one
image can be unpacked side by side. An image of two layers, and a container of it:

    async def unpack(key: str, layer: Path) -> bool:
        await snapshots.prepare(key, None)
        upper = snapshots.upper(key)
        return (await apply(layer, upper, whiteouts=snapshots.whiteouts)).describes_root

    lower, upper = await gather(unpack("unpack-1", layer1), unpack("unpack-2", layer2))
    await snapshots.commit("sha256:a…", "unpack-1")
    await snapshots.commit("sha256:b…", "unpack-2", "sha256:a…", inherit_root=not upper)

    await snapshots.prepare(container_id, "sha256:b…")
    await snapshots.mount(container_id, bundle / "rootfs")
    …
    await snapshots.unmount(bundle / "rootfs")
    await snapshots.remove(container_id)

Small changes of the engine's own (mount points, /etc/hosts, …) are a layer like any other: prepare, write
into `upper(key)` or into a mount, commit under a name of its own, and stack the container's snapshot on
that.
"""

from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from runtime.mount import Mount
from runtime.spec.identity import HOST, Identity


class Kind(StrEnum):
    """What may be done with a snapshot."""

    ACTIVE = "active"
    VIEW = "view"
    COMMITTED = "committed"


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: its name or key, kind, parent's name if it has one, and when it was prepared (unix ns)."""

    name: str
    kind: Kind
    parent: str | None
    created: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot takes beyond its parent: bytes of its files as `ls` tells them, and inodes.

    Hard links count once and directories count no bytes: the numbers behind Docker's SizeRw.
    """

    size: int
    inodes: int


class Snapshotter(Protocol):
    """See the module for vocabulary and life cycle.

    Common errors: NotFound for a name or key that is not there, Conflict for one that is taken or being
    changed, InvalidArgument for a malformed one and for the wrong kind, SystemFailure when the host fails.
    """

    whiteouts: Literal["overlay", "remove"]
    """How a layer that is unpacked into `upper` marks what it deletes; runtime.layers.apply takes it."""

    stacks_late: bool
    """Whether an active snapshot that was prepared without a parent can get one when it is committed."""

    @property
    def limits_size(self) -> bool:
        """Whether the file system can limit what an active snapshot holds beyond its parent."""

    async def prepare(self, key: str, parent: str | None, *, size: int = 0, durable: bool = True) -> None:
        """Make an active snapshot; durable on return unless that is not needed.

        It may hold `size` bytes of its own, 0 for any number.
        InvalidArgument for a size where `limits_size` is false.
        """

    async def view(self, key: str, parent: str | None, *, durable: bool = True) -> None:
        """Make a view; durable on return unless that is not needed."""

    async def commit(
        self,
        name: str,
        key: str,
        parent: str | None = None,
        *,
        inherit_root: bool = False,
        durable: bool = True,
    ) -> None:
        """Turn the active snapshot `key` into the committed one `name`.

        With all data it is durable on return, or once settled.

        `parent` puts one that was prepared without a parent on a committed snapshot: InvalidArgument where
        `stacks_late` is false, and for one that has another parent. With `inherit_root` its root directory then
        gets owner, mode and xattrs of the parent's, as if it had been prepared on that.
        """

    async def settle(self) -> None:
        """Make durable what was committed without; before anything durable refers to it."""

    async def remove(self, name: str) -> None:
        """Remove a snapshot of any kind, by name or key; Conflict while it has children."""

    def mounts(self, key: str, *, read_only: bool = False) -> list[Mount]:
        """Return how to mount an active snapshot or a view; `read_only` to look at one that others may use."""

    async def require(self, identity: Identity) -> None:
        """Pass if snapshots can be mounted with an identity; SystemFailure, with what is missing, if not."""

    async def mount(
        self, key: str, target: Path, *, read_only: bool = False, identity: Identity = HOST
    ) -> None:
        """Mount an active snapshot or a view at an existing directory.

        On the disk are a container's own ids; with an `identity` they are mounted as the host's. SystemFailure where
        kernel or file system cannot.
        """

    async def unmount(self, target: Path) -> None:
        """Unmount whatever is mounted at `target`; nothing when nothing is."""

    def upper(self, key: str) -> Path:
        """Return the directory that holds an active snapshot's own changes."""

    def below(self, key: str) -> list[Path]:
        """Return the directories on which a snapshot stands, the uppermost first: layers of an overlay, or one
        that has all.
        """

    def info(self, name: str) -> Info:
        """Return what is known of a snapshot, by name or key."""

    def walk(self) -> list[Info]:
        """Return all snapshots, parents before their children."""

    async def usage(self, name: str) -> Usage:
        """Measure a snapshot, by name or key."""

    async def sweep(self, keep: set[str]) -> list[str]:
        """Remove the active snapshots and views whose keys are not in `keep`; return their keys."""
