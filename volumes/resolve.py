"""From what a container asks for (`Binds`, `Mounts`, `Tmpfs`) to its mount points: Docker's rules, pure.

One destination, one mount.
"""

from collections.abc import Iterable

import msgspec

import errdefs
from volumes import modes
from volumes.binds import parse_bind
from volumes.mount_point import BIND, MountPoint
from volumes.mounts import SourceExists, parse_mount
from volumes.request import MountRequest
from volumes.requirements import clean, require_destination
from volumes.volume import require_valid_name


def resolve(
    binds: Iterable[str] | None,
    mounts: Iterable[MountRequest] | None,
    tmpfs: Iterable[str] | None,
    *,
    volume_driver: str = "",
    source_exists: SourceExists | None = None,
    roots: Iterable[str] = (),
) -> list[MountPoint]:
    """The mount points of binds, then of mounts, in their order.

    `tmpfs` are the destinations of the `Tmpfs` map, which is no part of the result: it is checked, and
    stands against binds. `roots` are the daemon's own directories: what is bound from above or below them
    follows the host's unmounts (rslave), or it would hold the roots of other containers. `source_exists`
    (which may block) is asked for the sources of mounts of type bind; without it they are not checked.
    InvalidArgument with Docker's texts.
    """
    points: list[MountPoint] = []
    requests = [(request, parse_mount(request, source_exists)) for request in mounts or ()]
    own = tuple(map(clean, roots))
    on_tmpfs = set(tmpfs or ())
    for destination in on_tmpfs:
        require_destination(destination)
    taken: set[str] = set()
    for bind in binds or ():
        point = _following(parse_bind(bind, volume_driver), own, modes.propagation(bind.rpartition(":")[2]))
        _require_free(point.destination, point.destination, taken | on_tmpfs)
        _require_volume_name(point.name)
        taken.add(point.destination)
        points.append(point)
    for request, parsed in requests:
        asked = request.bind_options.propagation if request.bind_options else ""
        point = _following(parsed, own, asked)
        _require_free(point.destination, request.target, taken)
        _require_volume_name(point.name)
        taken.add(point.destination)
        points.append(point)
    return points


def _following(point: MountPoint, roots: tuple[str, ...], asked: str) -> MountPoint:
    """A bind around or in the daemon's directories with the propagation that it must have."""
    near = [root for root in roots if _is_within(root, point.source) or _is_within(point.source, root)]
    if point.type != BIND or not near or asked in ("rslave", "rshared"):
        return point
    if asked:
        raise errdefs.InvalidArgument(
            'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is'
            f' within the daemon root, daemon root: "{near[0]}", bind mount source: "{point.source}",'
            f' propagation: "{asked}"'
        )
    return msgspec.structs.replace(point, propagation="rslave", options=(*point.options[:-1], "rslave"))


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _require_volume_name(name: str) -> None:
    if name:
        require_valid_name(name)


def _require_free(destination: str, shown: str, taken: set[str]) -> None:
    if destination in taken:
        raise errdefs.InvalidArgument(f"Duplicate mount point: {shown}")
