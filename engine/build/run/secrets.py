"""Secrets of a step: from its client, in memory alone, into a file that is mounted or a variable."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import errdefs
from engine.build.run.client import Client
from engine.build.steps import RunMount
from runtime import mount
from runtime.mount import Mount
from runtime.settled import settled
from runtime.spec.identity import Identity

_FILE_MODE = 0o400
_TMPFS = Mount(type="tmpfs", source="tmpfs", options=("nosuid", "nodev", "mode=711"))


async def ask(asked: RunMount, session: Client | None) -> bytes | None:
    """A secret; None for one that the client does not have. NotFound for that if it is required."""
    try:
        if session is None:
            raise errdefs.NotFound(f"secret {asked.id}: not found")
        return await session.secret(asked.id)
    except errdefs.NotFound:
        if asked.required:
            raise errdefs.NotFound(f"secret {asked.id}: not found") from None
        return None


def variable(asked: RunMount, secret: bytes | None) -> str:
    """As the step's environment has it: empty if there is none. InvalidArgument for what no variable can hold."""
    if secret and b"\0" in secret:
        raise errdefs.InvalidArgument(
            f"secret {asked.id} holds a NUL byte: it cannot be in the variable {asked.env}"
        )
    return f"{asked.env}={os.fsdecode(secret or b'')}"


class SecretFiles:
    """Files of one step, in a file system of their own that is never on a disk."""

    def __init__(self, directory: Path, identity: Identity) -> None:
        """Use `mounted`."""
        self._directory = directory
        self._identity = identity
        self._count = 0

    @classmethod
    @asynccontextmanager
    async def mounted(cls, directory: Path, identity: Identity) -> AsyncIterator["SecretFiles"]:
        """A place for them, gone with all of them at the end; the directory is made."""
        try:
            await settled(_mount, directory)
            yield cls(directory, identity)
        finally:
            await settled(_unmount, directory)

    async def add(self, asked: RunMount, secret: bytes) -> Path:
        """A file that the step's user may read as it asked for."""
        self._count += 1
        path = self._directory / str(self._count)
        await settled(self._write, path, asked, secret)
        return path

    def _write(self, path: Path, asked: RunMount, secret: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secret)
            os.fchown(fd, self._identity.uid_outside(asked.uid), self._identity.gid_outside(asked.gid))
            os.fchmod(fd, _FILE_MODE if asked.mode is None else asked.mode & 0o777)


def _mount(directory: Path) -> None:
    directory.mkdir(0o711, parents=True)
    mount.attach([_TMPFS], directory)


def _unmount(directory: Path) -> None:
    mount.unmount(directory)
    with suppress(FileNotFoundError):
        directory.rmdir()
