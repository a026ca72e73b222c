"""A container's mounts as values."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

BIND, VOLUME, TMPFS, IMAGE = "bind", "volume", "tmpfs", "image"


class MountPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A mount of a container.

    `source` is a host path for a bind, an image's reference for an image, or where it is mounted once it is found, ""
    for others. `name` is a volume's, "" for one that is made for this container. `mode` is a bind's as it was given.
    `options` are for the runtime: "rbind" or "bind", "rro" or "ro" (read-only with or without what is mounted below),
    the propagation; those of mount(8) for a tmpfs.
    """

    type: str
    source: str = ""
    destination: str
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    options: tuple[str, ...] = ()
    create_source: bool = False  # a bind whose host directory is made if it is missing
    anonymous: bool = (
        False  # a volume that was made for this container, or for the one that it was taken over from
    )
    copy_up: bool = False  # an empty volume is filled with what the image has at the destination
    subpath: str = ""  # of the volume or image
    image: str = ""  # the ID of an image that is mounted, whose reference is `name`
    snapshot: str = ""  # of that image, for this container alone
    driver_options: Mapping[str, str] = msgspec.field(default_factory=dict)  # for a volume that is made
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


class VolumesFrom(NamedTuple):
    """Another container whose mounts are taken over, read-only or as they are there."""

    container: str
    writable: bool
