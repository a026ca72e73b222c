"""Limits of block devices of a group that exists already, v1 and v2. Blocks (files of the kernel).

The runtime sets them when it creates a container; runc before 1.3 cannot change them later.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from errdefs import SystemFailure
from runtime.cgroups.control import folder_of
from runtime.cgroups.hierarchy import UNIFIED, paths

Kind = Literal["read_bps", "write_bps", "read_iops", "write_iops", "weight"]

_WORDS = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}
_WEIGHTS = {1: ("blkio.weight_device", "blkio.bfq.weight_device"), 2: ("io.bfq.weight",)}


class BlockLimit(msgspec.Struct, frozen=True):
    """A limit of one device: bytes or operations a second, or a weight; 0 lifts it."""

    kind: Kind
    major: int
    minor: int
    value: int


def limit_block_devices(pid: int, limits: Iterable[BlockLimit]) -> None:
    """Set limits of the container whose init is `pid`. NotFound when it is gone, SystemFailure with the reason.

    Weights are passed over where the kernel has no scheduler that knows them, as at a start.
    """
    found = paths(pid)
    controller, version = ("blkio", 1) if "blkio" in found else (UNIFIED, 2)
    if controller not in found:
        raise SystemFailure(f"process {pid} is in no control group that limits block devices")
    folder = folder_of(found[controller], controller)
    for limit in limits:
        for name in file_names(limit, version):
            _write(folder / name, line(limit, version))


def file_names(limit: BlockLimit, version: int) -> tuple[str, ...]:
    """The files that take the limit; those of weights may not be there."""
    if limit.kind == "weight":
        return _WEIGHTS[version]
    return (f"blkio.throttle.{limit.kind}_device",) if version == 1 else ("io.max",)


def line(limit: BlockLimit, version: int) -> str:
    """What is written there."""
    device = f"{limit.major}:{limit.minor}"
    if version == 1:
        return f"{device} {limit.value}"
    if limit.kind == "weight":
        return f"{device} {limit.value or 'default'}"
    return f"{device} {_WORDS[limit.kind]}={limit.value or 'max'}"


def _write(path: Path, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if "weight" in path.name:
            return
        raise SystemFailure(f"cannot limit block devices: {path} is not there") from None
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise SystemFailure(f'failed to write "{text}": write {path}: {error.strerror}') from error
    finally:
        os.close(fd)
