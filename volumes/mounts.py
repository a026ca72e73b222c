"""`Mounts`: each names its type, and its source must be there."""

from collections.abc import Callable

import errdefs
from volumes import modes
from volumes.mount_point import BIND, IMAGE, TMPFS, VOLUME, MountPoint
from volumes.request import BindOptions, ImageOptions, MountRequest, TmpfsOptions, VolumeOptions
from volumes.requirements import clean, invalid, require_absolute, require_local, require_target

_OPTIONS = {
    BIND: ("BindOptions", "bind_options"),
    VOLUME: ("VolumeOptions", "volume_options"),
    IMAGE: ("ImageOptions", "image_options"),
    TMPFS: ("TmpfsOptions", "tmpfs_options"),
}
_TMPFS_WORDS = frozenset({"exec", "noexec"})
_SUFFIXES = (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10))

SourceExists = Callable[[str], bool]


def parse_mount(request: MountRequest, source_exists: SourceExists | None = None) -> MountPoint:
    """The mount point of one `Mount`; InvalidArgument as Docker's."""
    _require_own_options(request)
    require_target(request.type, request.target)
    parse = _PARSERS.get(request.type)
    if parse is None:
        raise invalid(request.type, "mount type unknown")
    return parse(request, source_exists)


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


def _parse_bind_mount(request: MountRequest, source_exists: SourceExists | None) -> MountPoint:
    options = request.bind_options
    if not request.source:
        raise invalid(BIND, "field Source must not be empty")
    if options and options.propagation and options.propagation not in modes.PROPAGATIONS:
        raise invalid(BIND, f"invalid propagation mode: {options.propagation}")
    require_absolute(BIND, request.source)
    creates = options is not None and options.create_mountpoint
    if not creates and source_exists is not None and not source_exists(request.source):
        raise invalid(BIND, f"bind source path does not exist: {request.source}")
    propagation = (options.propagation if options else "") or modes.DEFAULT_PROPAGATION
    return MountPoint(
        type=BIND,
        source=clean(request.source),
        destination=clean(request.target),
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
        raise invalid(VOLUME, "must not set Subpath when using anonymous volumes")
    require_local(VOLUME, subpath)
    driver = options.driver_config if options else None
    return MountPoint(
        type=VOLUME,
        destination=clean(request.target),
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
        raise invalid(TMPFS, "field Source must not be specified")
    try:
        words = tmpfs_options(request.tmpfs_options, read_only=request.read_only)
    except errdefs.InvalidArgument as error:
        raise invalid(TMPFS, error.message) from error
    return MountPoint(
        type=TMPFS, destination=clean(request.target), rw=not request.read_only, options=tuple(words)
    )


def _parse_image(request: MountRequest, _: SourceExists | None) -> MountPoint:
    options: ImageOptions | None = request.image_options
    if not request.source:
        raise invalid(IMAGE, "field Source must not be empty")
    subpath = options.subpath if options else ""
    require_local(IMAGE, subpath)
    return MountPoint(
        type=IMAGE,
        source=request.source,
        destination=clean(request.target),
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
            raise invalid(request.type, f"field {shown} must not be specified")


def _size(size: int) -> str:
    for suffix, divisor in _SUFFIXES:
        if size % divisor == 0:
            return f"{size // divisor}{suffix}"
    return str(size)
