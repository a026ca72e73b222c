"""From what a container asks for (`Binds`, `Mounts`, `Tmpfs`) to its mount points: Docker's rules, pure.

A bind is `source:destination[:mode]`: an absolute source is a path of the host, which is made if it is
missing; another is the name of a volume. A `Mount` names its type, and its source must be there. One
destination, one mount.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

import errdefs
from volumes import modes
from volumes.request import BindOptions, ImageOptions, MountRequest, TmpfsOptions, VolumeOptions
from volumes.volume import require_valid_name

BIND, VOLUME, TMPFS, IMAGE = "bind", "volume", "tmpfs", "image"

_OPTIONS = {
    BIND: ("BindOptions", "bind_options"),
    VOLUME: ("VolumeOptions", "volume_options"),
    IMAGE: ("ImageOptions", "image_options"),
    TMPFS: ("TmpfsOptions", "tmpfs_options"),
}
_TMPFS_WORDS = frozenset({"exec", "noexec"})
_SUFFIXES = (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10))

SourceExists = Callable[[str], bool]


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
    own = tuple(map(_clean, roots))
    on_tmpfs = set(tmpfs or ())
    for destination in on_tmpfs:
        _require_destination(destination)
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
        _require_target(kind, destination)
        if kind == BIND:
            return msgspec.structs.replace(_bind_point(source, destination, mode), create_source=True)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"invalid volume specification: '{raw}': {error.message}") from error
    return MountPoint(
        type=VOLUME,
        destination=_clean(destination),
        name=source,
        driver=volume_driver,
        mode=mode,
        rw=modes.is_writable(mode),
        copy_up=modes.NO_COPY not in mode.split(","),
    )


def parse_mount(request: MountRequest, source_exists: SourceExists | None = None) -> MountPoint:
    """The mount point of one `Mount`; InvalidArgument as Docker's."""
    _require_own_options(request)
    _require_target(request.type, request.target)
    parse = _PARSERS.get(request.type)
    if parse is None:
        raise _invalid(request.type, "mount type unknown")
    return parse(request, source_exists)


def parse_volumes_from(spec: str) -> VolumesFrom:
    """`container[:mode]`; InvalidArgument as Docker's."""
    if not spec:
        raise errdefs.InvalidArgument("volumes-from specification cannot be an empty string")
    container, _, mode = spec.partition(":")
    if not modes.is_valid(mode) or modes.propagation(mode) or modes.NO_COPY in mode.split(","):
        raise errdefs.InvalidArgument(f"invalid mode: {mode}")
    return VolumesFrom(container, modes.is_writable(mode))


def tmpfs_options(options: TmpfsOptions | None, *, read_only: bool) -> list[str]:
    """The options of mount(8) for a tmpfs; InvalidArgument for those that Docker does not let through."""
    words = ["ro"] if read_only else []
    if options is None:
        return words
    if options.mode:
        words.append(f"mode={options.mode:o}")
    if options.size_bytes:
        words.append(f"size={_size(options.size_bytes)}")
    for pair in options.options or ():
        if len(pair) not in (1, 2):
            raise errdefs.InvalidArgument("invalid option array length")
        if pair[0] not in _TMPFS_WORDS:
            raise errdefs.InvalidArgument(f"invalid option: {pair[0]}")
        words.append("=".join(pair))
    return words


def _bind_point(source: str, destination: str, mode: str) -> MountPoint:
    propagation = modes.propagation(mode) or modes.DEFAULT_PROPAGATION
    writable = modes.is_writable(mode)
    return MountPoint(
        type=BIND,
        source=_clean(source),
        destination=_clean(destination),
        mode=mode,
        rw=writable,
        propagation=propagation,
        options=("rbind", *(() if writable else ("rro",)), propagation),
    )


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


def _parse_bind_mount(request: MountRequest, source_exists: SourceExists | None) -> MountPoint:
    options = request.bind_options
    if not request.source:
        raise _invalid(BIND, "field Source must not be empty")
    if options and options.propagation and options.propagation not in modes.PROPAGATIONS:
        raise _invalid(BIND, f"invalid propagation mode: {options.propagation}")
    _require_absolute(BIND, request.source)
    creates = options is not None and options.create_mountpoint
    if not creates and source_exists is not None and not source_exists(request.source):
        raise _invalid(BIND, f"bind source path does not exist: {request.source}")
    propagation = (options.propagation if options else "") or modes.DEFAULT_PROPAGATION
    return MountPoint(
        type=BIND,
        source=_clean(request.source),
        destination=_clean(request.target),
        rw=not request.read_only,
        propagation=propagation,
        options=(_recursion(options), *_read_only(options, read_only=request.read_only), propagation),
        create_source=creates,
    )


def _recursion(options: BindOptions | None) -> str:
    return "bind" if options is not None and options.non_recursive else "rbind"


def _read_only(options: BindOptions | None, *, read_only: bool) -> tuple[str, ...]:
    conflict = "mount options conflict: "
    non_recursive = options is not None and options.read_only_non_recursive
    forced = options is not None and options.read_only_force_recursive
    if not read_only and (non_recursive or forced):
        word = "ReadOnlyNonRecursive" if non_recursive else "ReadOnlyForceRecursive"
        raise errdefs.InvalidArgument(f"{conflict}!ReadOnly && BindOptions.{word}")
    if non_recursive and forced:
        raise errdefs.InvalidArgument(f"{conflict}ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive")
    return () if not read_only else ("ro",) if non_recursive else ("rro",)


def _parse_volume(request: MountRequest, _: SourceExists | None) -> MountPoint:
    options: VolumeOptions | None = request.volume_options
    subpath = options.subpath if options else ""
    if subpath and not request.source:
        raise _invalid(VOLUME, "must not set Subpath when using anonymous volumes")
    _require_local(VOLUME, subpath)
    driver = options.driver_config if options else None
    return MountPoint(
        type=VOLUME,
        destination=_clean(request.target),
        name=request.source,
        driver=driver.name if driver else "",
        rw=not request.read_only,
        copy_up=not (options and options.no_copy),
        subpath=subpath,
        driver_options=dict((driver.options if driver else None) or {}),
        labels=dict((options.labels if options else None) or {}),
    )


def _parse_tmpfs(request: MountRequest, _: SourceExists | None) -> MountPoint:
    if request.source:
        raise _invalid(TMPFS, "field Source must not be specified")
    try:
        words = tmpfs_options(request.tmpfs_options, read_only=request.read_only)
    except errdefs.InvalidArgument as error:
        raise _invalid(TMPFS, error.message) from error
    return MountPoint(
        type=TMPFS, destination=_clean(request.target), rw=not request.read_only, options=tuple(words)
    )


def _parse_image(request: MountRequest, _: SourceExists | None) -> MountPoint:
    options: ImageOptions | None = request.image_options
    if not request.source:
        raise _invalid(IMAGE, "field Source must not be empty")
    subpath = options.subpath if options else ""
    _require_local(IMAGE, subpath)
    return MountPoint(
        type=IMAGE,
        source=request.source,
        destination=_clean(request.target),
        rw=False,
        propagation=modes.DEFAULT_PROPAGATION,
        options=("rbind", "rro", modes.DEFAULT_PROPAGATION),
        subpath=subpath,
    )


_PARSERS: dict[str, Callable[[MountRequest, SourceExists | None], MountPoint]] = {
    BIND: _parse_bind_mount,
    VOLUME: _parse_volume,
    TMPFS: _parse_tmpfs,
    IMAGE: _parse_image,
}


def _require_own_options(request: MountRequest) -> None:
    for kind, (shown, attribute) in _OPTIONS.items():
        if request.type != kind and getattr(request, attribute) is not None:
            raise _invalid(request.type, f"field {shown} must not be specified")


def _require_bind_mode(kind: str, mode: str) -> None:
    """A path is not copied up, and a volume does not propagate."""
    if kind == BIND and modes.NO_COPY in mode.split(","):
        raise _invalid(kind, "field VolumeOptions must not be specified")
    if kind == VOLUME and modes.propagation(mode):
        raise _invalid(kind, "field BindOptions must not be specified")


def _require_target(kind: str, target: str) -> None:
    if not target:
        raise _invalid(kind, "field Target must not be empty")
    try:
        _require_destination(target)
    except errdefs.InvalidArgument as error:
        raise _invalid(kind, error.message) from error


def _require_destination(path: str) -> None:
    if _clean(path.replace("\\", "/")) == "/":
        raise errdefs.InvalidArgument("invalid specification: destination can't be '/'")
    if not path.startswith("/") or "\0" in path:
        raise errdefs.InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")


def _require_absolute(kind: str, path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise _invalid(kind, f"invalid mount path: '{path}' mount path must be absolute")


def _require_local(kind: str, subpath: str) -> None:
    """A relative path that does not lead out, or none."""
    if subpath and (subpath.startswith("/") or _clean(subpath).split("/")[0] == ".."):
        raise _invalid(kind, "subpath must be a relative path within the volume")


def _require_volume_name(name: str) -> None:
    if name:
        require_valid_name(name)


def _require_free(destination: str, shown: str, taken: set[str]) -> None:
    if destination in taken:
        raise errdefs.InvalidArgument(f"Duplicate mount point: {shown}")


def _invalid(kind: str, text: str) -> errdefs.InvalidArgument:
    return errdefs.InvalidArgument(f'invalid mount config for type "{kind}": {text}')


def _clean(path: str) -> str:
    """Go's path.Clean: unlike normpath it keeps no second slash in front."""
    return posixpath.normpath(re.sub("^/+", "/", path))


def _size(size: int) -> str:
    for suffix, divisor in _SUFFIXES:
        if size % divisor == 0:
            return f"{size // divisor}{suffix}"
    return str(size)
