"""The strings of `Binds` and `VolumesFrom`.

A bind is `source:destination[:mode]`: an absolute source is a path of the host, which is made if it is
missing; another is the name of a volume.
"""

import msgspec

import errdefs
from volumes import modes
from volumes.mount_point import BIND, VOLUME, MountPoint, VolumesFrom
from volumes.requirements import clean, invalid, require_target


def parse_bind(raw: str, volume_driver: str = "") -> MountPoint:
    """The mount point of one bind, `/host:/there:ro`, `name:/there` or `/there`; InvalidArgument as Docker's."""
    parts = raw.split(":", 3)
    source, destination, mode = "", parts[0], ""
    if len(parts) > 1:
        source, destination, *rest = parts
        mode = rest[0] if rest else ""
    if "\0" in raw or not parts[0] or len(parts) > 3 or (len(parts) == 2 and modes.is_valid(destination)):
        raise errdefs.InvalidArgument(f"invalid volume specification: '{raw}'")
    modes.require_valid(mode)
    kind = BIND if source.startswith("/") else VOLUME
    try:
        _require_bind_mode(kind, mode)
        require_target(kind, destination)
        if kind == BIND:
            return msgspec.structs.replace(_bind_point(source, destination, mode), create_source=True)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"invalid volume specification: '{raw}': {error.message}") from error
    return MountPoint(
        type=VOLUME,
        destination=clean(destination),
        name=source,
        driver=volume_driver,
        mode=mode,
        rw=modes.is_writable(mode),
        copy_up=modes.NO_COPY not in mode.split(","),
    )


def parse_volumes_from(spec: str) -> VolumesFrom:
    """`container[:mode]`; InvalidArgument as Docker's."""
    if not spec:
        raise errdefs.InvalidArgument("volumes-from specification cannot be an empty string")
    container, _, mode = spec.partition(":")
    if not modes.is_valid(mode) or modes.propagation(mode) or modes.NO_COPY in mode.split(","):
        raise errdefs.InvalidArgument(f"invalid mode: {mode}")
    return VolumesFrom(container, modes.is_writable(mode))


def _bind_point(source: str, destination: str, mode: str) -> MountPoint:
    propagation = modes.propagation(mode) or modes.DEFAULT_PROPAGATION
    writable = modes.is_writable(mode)
    return MountPoint(
        type=BIND,
        source=clean(source),
        destination=clean(destination),
        mode=mode,
        rw=writable,
        propagation=propagation,
        options=("rbind", *(() if writable else ("rro",)), propagation),
    )


def _require_bind_mode(kind: str, mode: str) -> None:
    """A path is not copied up, and a volume does not propagate."""
    if kind == BIND and modes.NO_COPY in mode.split(","):
        raise invalid(kind, "field VolumeOptions must not be specified")
    if kind == VOLUME and modes.propagation(mode):
        raise invalid(kind, "field BindOptions must not be specified")
