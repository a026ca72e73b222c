"""`HostConfig.StorageOpt`: how much a container may hold in its root. Pure, with Docker's texts."""

from collections.abc import Mapping

import errdefs
from engine.config.values import parse_size

WHERE = "over xfs with 'pquota' mount option, or over ext4 with 'prjquota'"


def size_of(asked: Mapping[str, str] | None, usual: int, *, limited: bool) -> int:
    """Bytes that it may hold, 0 for any number: as asked, else the daemon's. InvalidArgument for what cannot be.

    `limited` is whether the file system of the data root can limit it.
    """
    sizes = [_parsed(name, text) for name, text in (asked or {}).items()]
    if sizes and not limited:
        raise errdefs.InvalidArgument(f"--storage-opt is supported only for overlay {WHERE}")
    return sizes[-1] if sizes else usual


def _parsed(name: str, text: str) -> int:
    if name.lower() != "size":
        raise errdefs.InvalidArgument(f"Unknown option {name}")
    try:
        return parse_size(text)
    except ValueError as error:
        raise errdefs.InvalidArgument(str(error)) from error
