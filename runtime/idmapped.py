"""Mounts whose files belong to other ids than on the disk: one disk for containers of any user namespace, or of none.

The directory that holds all layers is cloned, shifted (mount_setattr(2), MOUNT_ATTR_IDMAP) and mounted over itself in
a mount namespace that no one else sees; what is mounted there from its paths is taken out of it by a descriptor. So
nothing is left on the host after a kill, and the mount table tells the true paths.

An overlay works on its layers as who mounted it: a thread does that as the container's root with the host's
capabilities, since the host's root is nobody there, and could not even make a whiteout.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from errdefs import SystemFailure
from runtime import mount, mount_calls
from runtime.mount import Mount

_CLONE_NEWNS = 0x00020000
_CAPABILITY_VERSION_3 = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)


def attach(mounts: Sequence[Mount], target: Path, root: Path, userns: int, owner: tuple[int, int]) -> None:
    """Mount all of `mounts` at `target`, as mount.attach does, with everything below `root` shifted by `userns`.

    `owner` is the host's (uid, gid) of the container's root. Blocks. SystemFailure where the kernel or the
    file system cannot: Linux 5.19, and ext4, xfs or btrfs, or tmpfs since 6.3.
    """
    done = 0
    try:
        for each in mounts:
            _attach(each, target, root, userns, owner)
            done += 1
    except BaseException:
        for _ in range(done):
            mount.unmount(target)
        raise


def check(wanted: Mount, target: Path, root: Path, userns: int, owner: tuple[int, int]) -> None:
    """Pass if `attach` could mount that; nothing is mounted for others to see. Errors as `attach`."""
    os.close(_detached(wanted, target, root, userns, owner))


def _attach(wanted: Mount, target: Path, root: Path, userns: int, owner: tuple[int, int]) -> None:
    tree = _detached(wanted, target, root, userns, owner)
    try:
        mount.move(tree, target)
    except OSError as error:
        raise _failure(wanted, target, error) from error
    finally:
        os.close(tree)


def _detached(wanted: Mount, target: Path, root: Path, userns: int, owner: tuple[int, int]) -> int:
    def work() -> int:
        _enter_private_namespace()
        _shift(root, userns)
        _become(*owner)
        mount.attach([wanted], target)
        return mount_calls.clone(mount_calls.HERE, str(target))

    try:
        return _in_a_thread(work)
    except OSError as error:
        raise _failure(wanted, target, error) from error


def _failure(wanted: Mount, target: Path, error: OSError) -> SystemFailure:
    return SystemFailure(f"cannot mount {wanted.type} at {target} with other ids: {error.strerror}")


def _enter_private_namespace() -> None:
    if _libc.unshare(_CLONE_NEWNS) != 0:
        _raise()
    mount.make_private(Path("/"))


def _shift(root: Path, userns: int) -> None:
    tree = mount_calls.clone(mount_calls.HERE, str(root))
    try:
        mount_calls.change(tree, mount_calls.SHIFTED, userns=userns)
    except OSError as error:
        os.close(tree)
        raise SystemFailure(
            f"cannot shift the ids of {root}: {error.strerror}: user namespaces need Linux 5.19 and a file"
            " system with idmapped mounts (ext4, xfs, btrfs; tmpfs since Linux 6.3)"
        ) from error
    try:
        mount.move(tree, root)
    finally:
        os.close(tree)


def _become(uid: int, gid: int) -> None:
    """Let this thread make files as another, with all that it may do as root."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    capabilities = (ctypes.c_uint32 * 6)()
    if _libc.capget(header, capabilities) != 0:
        _raise()
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    if _libc.capset(header, capabilities) != 0:
        _raise()


def _raise() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


def _in_a_thread(work: Callable[[], int]) -> int:
    """What `work` returns, or raises, in a thread that ends with it: it is in no other's namespace, and nobody else."""
    results: list[int] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run, name="idmapped")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
