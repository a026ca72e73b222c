"""What a container mounts: from the request to mount points, and the host's directories behind them."""

import asyncio
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

import errdefs
from engine import ids
from engine.containers.config import ContainerConfig, HostConfig
from engine.containers.container import Container
from runtime.spec import propagation
from runtime.spec.host import has_recursive_read_only
from volumes.binds import parse_volumes_from
from volumes.mount_point import BIND, VOLUME, MountPoint
from volumes.resolve import resolve as resolve_asked
from volumes.volume import LOCAL

_LABELLED = "z"
"""What Docker shows as the mode of a local volume: it may get a label for SELinux."""


def resolve(
    config: ContainerConfig,
    host: HostConfig,
    roots: Sequence[str] = (),
    taken_over: Iterable[MountPoint] = (),
    *,
    recursive_read_only: bool = True,
) -> list[MountPoint]:
    """The mount points of a create request; InvalidArgument in Docker's words.

    Blocks if there are binds or mounts: it looks at their sources. `roots` are the daemon's own directories. Binds
    and mounts cover what is `taken_over`, and all of these the volumes of the image. `recursive_read_only` says
    whether a read-only bind that does not say otherwise covers the mounts below it.
    """
    _require_forced(host)
    asked = _requested(host, roots)
    if not recursive_read_only:
        asked = [_leaving_below(point) for point in asked]
    points = {point.destination: point for point in taken_over}
    points |= {point.destination: _as_kept(point) for point in asked}
    for destination in map(_destination, config.volumes or ()):
        if destination not in points and destination not in (host.tmpfs or ()):
            points[destination] = MountPoint(
                type=VOLUME, destination=destination, driver=host.volume_driver, anonymous=True, copy_up=True
            )
    return list(points.values())


def _requested(host: HostConfig, roots: Sequence[str]) -> list[MountPoint]:
    """Binds and mounts, but for their volumes as they will be mounted."""
    parse = partial(
        resolve_asked,
        host.binds,
        host.mounts,
        host.tmpfs,
        volume_driver=host.volume_driver,
        source_exists=os.path.lexists,
    )
    pairs = list(zip(parse(roots=roots), parse(), strict=True))
    mountinfo = _mountinfo() if any(following != asked for following, asked in pairs) else ""
    return [_possible(*pair, mountinfo) for pair in pairs]


def _require_forced(host: HostConfig) -> None:
    forced = any(
        each.bind_options and each.bind_options.read_only_force_recursive for each in host.mounts or ()
    )
    if forced and not has_recursive_read_only():
        raise errdefs.InvalidArgument("rro is not supported: the kernel is older than 5.12")


def _leaving_below(point: MountPoint) -> MountPoint:
    """A read-only bind that leaves the mounts below it as they are."""
    if point.type != BIND:
        return point
    return msgspec.structs.replace(
        point, options=tuple("ro" if word == "rro" else word for word in point.options)
    )


def _possible(following: MountPoint, asked: MountPoint, mountinfo: str) -> MountPoint:
    """A bind around the daemon's directories follows the host's unmounts where the host tells of them.

    Where it does not (its root is private: no systemd), the bind is as it was asked for, as in Docker.
    """
    if following == asked:
        return asked
    try:
        propagation.check(os.path.realpath(following.source), following.propagation, mountinfo)
    except errdefs.InvalidArgument:
        return asked
    return following


def _mountinfo() -> str:
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")


def taken_over(host: HostConfig, other: Callable[[str], Container]) -> Iterator[MountPoint]:
    """The mounts of the containers that `--volumes-from` names; `other` finds one. InvalidArgument as Docker's."""
    for spec in host.volumes_from or ():
        name, writable = parse_volumes_from(spec)
        try:
            container = other(name)
        except errdefs.NotFound as error:
            raise errdefs.InvalidArgument(error.message) from error
        for point in container.mounts:
            if point.type in (BIND, VOLUME):
                rw = point.rw and writable
                yield msgspec.structs.replace(
                    point, rw=rw, mode="", copy_up=False, options=_options(point, rw=rw)
                )


def _options(point: MountPoint, *, rw: bool) -> tuple[str, ...]:
    """The options of a point that becomes read-only."""
    if rw or "rro" in point.options or "ro" in point.options:
        return point.options
    return (*point.options, "rro")


def _as_kept(point: MountPoint) -> MountPoint:
    """A volume as Docker keeps it: one without a name gets it here, and so is not labelled as anonymous."""
    if point.type != VOLUME:
        return point
    name = point.name or ids.new_id()
    mode = point.mode or (_LABELLED if point.driver in ("", LOCAL) else "")
    options = _options(point, rw=point.rw)
    return msgspec.structs.replace(point, name=name, mode=mode, anonymous=not point.name, options=options)


def _destination(path: str) -> str:
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    if cleaned == "/":
        raise errdefs.InvalidArgument("invalid specification: destination can't be '/'")
    return cleaned


async def make_sources(container: Container) -> None:
    """Make the directories that `-v` names and that are not there, as Docker does; all others must be there.

    InvalidArgument for a path that is not.
    """
    if binds := [point for point in container.mounts if point.type == BIND]:
        await asyncio.to_thread(_make_sources, binds)


def _make_sources(binds: Iterable[MountPoint]) -> None:
    mountinfo = _mountinfo()
    for point in binds:
        if not os.path.lexists(point.source):
            if not point.create_source:
                raise errdefs.InvalidArgument(
                    f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
                )
            _make_source(point.source)
        propagation.check(os.path.realpath(point.source), point.propagation, mountinfo)


def _make_source(path: str) -> None:
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as error:
        reason = f"mkdir {error.filename}: {(error.strerror or '').lower()}"
        raise errdefs.InvalidArgument(f"error while creating mount source path '{path}': {reason}") from error
