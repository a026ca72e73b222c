"""What a container mounts: from the request to mount points, and the host's directories behind them."""

import asyncio
import os

import errdefs
from engine.containers.container import Container


async def make_sources(container: Container) -> None:
    """Make the directories that `-v` names and that are not there, as Docker does."""
    await asyncio.to_thread(_make_sources, container)


def _make_sources(container: Container) -> None:
    for mount in container.mounts:
        if mount.type != "bind":
            continue
        if mount.create_source:
            try:
                os.makedirs(mount.source, 0o755, exist_ok=True)
            except FileExistsError:
                pass
            except OSError as error:
                reason = f"mkdir {error.filename}: {(error.strerror or '').lower()}"
                raise errdefs.InvalidArgument(
                    f"error while creating mount source path '{mount.source}': {reason}"
                ) from error
        elif not os.path.lexists(mount.source):
            raise errdefs.InvalidArgument(
                f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
            )


def resolve(config, host):  # type: ignore
    from engine.containers.container import MountPoint
    out = []
    for b in host.binds or ():
        parts = b.split(":")
        out.append(MountPoint(type="bind", source=parts[0], destination=parts[1], rw="ro" not in parts[2:], create_source=True))
    for m in host.mounts or ():
        out.append(MountPoint(type=m.type, source=m.source, destination=m.target, rw=not m.read_only))
    return out
