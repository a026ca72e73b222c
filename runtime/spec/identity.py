"""Who a container's users are on the host: its user namespace as a value, and the ids on either side of it."""

from typing import NamedTuple

from errdefs import InvalidArgument

OVERFLOW = 65534
"""What the kernel shows in a user namespace of an id that has no place there."""


class IdRange(NamedTuple):
    """`size` ids: from `inside` on in the container, from `outside` on on the host."""

    inside: int
    outside: int
    size: int


class Identity(NamedTuple):
    """The ids of a container's users and groups on the host; without ranges, and so no user namespace, the same.

    With ranges, files that the container is to own (its volumes, its /etc/hosts) belong to `root` on the host, and an
    id that the host tells of a running container's files is told to clients by `uid_inside` and `gid_inside`. Snapshots
    hold the container's ids on the disk, whatever they are on the host: they are mounted shifted.
    """

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()

    @property
    def remapped(self) -> bool:
        """Whether there is a user namespace."""
        return bool(self.uids)

    @property
    def root(self) -> tuple[int, int]:
        """The host's (uid, gid) of the container's root."""
        return self.uid_outside(0), self.gid_outside(0)

    def to_oci(self) -> dict[str, list[dict[str, int]]]:
        """Return linux.uidMappings and linux.gidMappings."""
        return {"uidMappings": _mappings(self.uids), "gidMappings": _mappings(self.gids)}

    def to_lists(self) -> list[list[list[int]]]:
        """Return the ranges as JSON has them; `from_lists` reads them."""
        return [[[each.inside, each.outside, each.size] for each in kind] for kind in (self.uids, self.gids)]

    @classmethod
    def from_lists(cls, lists: list[list[list[int]]]) -> "Identity":
        """Return what `to_lists` told."""
        uids, gids = (tuple(IdRange(*numbers) for numbers in kind) for kind in lists)
        return cls(uids, gids)

    def uid_outside(self, uid: int) -> int:
        """The host's id of a user of the container; InvalidArgument, in Docker's words, for one that has none."""
        return _outside(self.uids, uid)

    def gid_outside(self, gid: int) -> int:
        """The same of a group."""
        return _outside(self.gids, gid)

    def uid_inside(self, uid: int) -> int:
        """The container's id of a user of the host; OVERFLOW for one that has none, as the kernel shows it."""
        return _inside(self.uids, uid)

    def gid_inside(self, gid: int) -> int:
        """The same of a group."""
        return _inside(self.gids, gid)


HOST = Identity()
"""No user namespace: the host's own ids."""


def _mappings(ranges: tuple[IdRange, ...]) -> list[dict[str, int]]:
    return [{"containerID": each.inside, "hostID": each.outside, "size": each.size} for each in ranges]


def _outside(ranges: tuple[IdRange, ...], number: int) -> int:
    if not ranges:
        return number
    for each in ranges:
        if each.inside <= number < each.inside + each.size:
            return each.outside + number - each.inside
    raise InvalidArgument(f"Container ID {number} cannot be mapped to a host ID")


def _inside(ranges: tuple[IdRange, ...], number: int) -> int:
    if not ranges:
        return number
    for each in ranges:
        if each.outside <= number < each.outside + each.size:
            return each.inside + number - each.outside
    return OVERFLOW
