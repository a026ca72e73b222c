#!/usr/bin/env python3
"""Write the root filesystem of a small image, as a tar for `docker import -`, to standard output.

It holds Debian's static busybox, a link for each of its applets, and the few files a container expects.
The same busybox gives the same bytes.
"""

import io
import os
import subprocess
import sys
import tarfile

BUSYBOX = "/bin/busybox"
DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "sbin": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}
FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
        "www-data:x:33:33:www-data:/var/www:/bin/false\n"
        "nobody:x:65534:65534:nobody:/home:/bin/false\n"
    ),
    "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nstaff:x:50:daemon\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def member(name: str, kind: bytes, mode: int, size: int = 0, target: str = "") -> tarfile.TarInfo:
    """Return a tar header owned by root, dated to the epoch."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, size, target
    return info


def write(archive: tarfile.TarFile) -> None:
    """Put the whole root filesystem into the archive."""
    for name, mode in DIRECTORIES.items():
        archive.addfile(member(name, tarfile.DIRTYPE, mode))
    for name, text in FILES.items():
        archive.addfile(member(name, tarfile.REGTYPE, 0o644, len(text)), io.BytesIO(text.encode()))
    with open(BUSYBOX, "rb") as binary:
        archive.addfile(member("bin/busybox", tarfile.REGTYPE, 0o755, os.stat(BUSYBOX).st_size), binary)
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in sorted(set(applets) - {"busybox"}):
        archive.addfile(member(f"bin/{applet}", tarfile.SYMTYPE, 0o777, target="busybox"))


if __name__ == "__main__":
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.USTAR_FORMAT) as stream:
        write(stream)
