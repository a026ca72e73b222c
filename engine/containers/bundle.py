"""The bundle of a container: the directory in which the runtime finds config.json and the root."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from runtime.spec.identity import HOST, Identity


async def make(bundle: Path, identity: Identity = HOST) -> None:
    """Make the directory, with the place where the root is mounted; a container's root passes through it."""
    await asyncio.to_thread(_make, bundle, identity)


async def write(bundle: Path, spec: dict[str, Any]) -> None:
    """Write config.json. Its environment may hold secrets: only root reads it."""
    await asyncio.to_thread(_write, bundle, msgspec.json.encode(spec))


async def remove(bundle: Path) -> None:
    """Take the directory away; its root is not mounted any more. Idempotent."""
    await asyncio.to_thread(shutil.rmtree, bundle, ignore_errors=True)


def _make(bundle: Path, identity: Identity) -> None:
    bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
    if identity.remapped:
        os.chown(bundle, 0, identity.root[1])
        bundle.chmod(0o710)
    (bundle / "rootfs").mkdir(mode=0o700, exist_ok=True)


def _write(bundle: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(bundle / "config.json", flags, 0o600), "wb") as file:
        file.write(content)
