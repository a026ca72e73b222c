"""Mounting what may hang: file systems of the network are mounted by a process of their own, which can be killed."""

import asyncio
import json
import sys

from errdefs import SystemFailure
from runtime import fstab
from runtime.spawn import run

_HERE = frozenset({"", "none", "bind", "tmpfs"})
_PATIENCE = 180.0


async def mount(device: str, target: str, kind: str, options: str) -> None:
    """Mount; SystemFailure in Docker's words. When it is cancelled, it may be mounted already."""
    if "\0" in device + target + kind + options:
        raise SystemFailure(f"mount {target}: invalid argument")
    if kind in _HERE:
        try:
            await asyncio.to_thread(fstab.mount, device, target, kind, options)
        except fstab.MountFailed as failed:
            raise SystemFailure(str(failed)) from None
        return
    argv = [sys.executable, "-I", "-S", "-B", fstab.__file__]
    order = json.dumps([device, target, kind, options]).encode()
    try:
        done = await run(argv, stdin=order, timeout=_PATIENCE)
    except TimeoutError:
        raise SystemFailure(f"mount {device}:{target}: no answer in {_PATIENCE:g} seconds") from None
    except OSError as error:
        raise SystemFailure(f"mount {device}:{target}: {error.strerror}") from error
    if done.returncode:
        told = done.stdout.decode(errors="replace").strip()
        raise SystemFailure(told or f"mount {device}:{target}: the process that mounts it was ended")
