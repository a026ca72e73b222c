"""A program that exchanges names in a container as fast as the kernel can: `exchanger.py PID A B [A B …]`.

It works in the root of the process PID, as one of the container's own would, and needs nothing of the container. It
says "ready" once all pairs have been exchanged, and at its end, when its input closes, how often that was.
"""

import ctypes
import errno
import os
import sys
import threading

_AT_FDCWD, _EXCHANGE = -100, 2


def main() -> None:
    """Exchange until the input ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = [os.fsencode(name) for name in sys.argv[2:]]
    pairs = list(zip(names[::2], names[1::2], strict=True))
    root = os.open(f"/proc/{sys.argv[1]}/root", os.O_RDONLY | os.O_DIRECTORY)
    os.fchdir(root)
    os.chroot(".")
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    count = 0
    while not ended.is_set():
        for a, b in pairs:
            failed = libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE)
            if failed and ctypes.get_errno() != errno.ENOENT:  # what a copy replaces is gone for a moment
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), a)
        if not count:
            print("ready", flush=True)
        count += 1
    print(count)


if __name__ == "__main__":
    main()
