"""The profile holds for programs of 32-bit x86 as well: a hand-made ELF that makes one call."""

import errno
import os
import platform
import struct
from pathlib import Path

import pytest

from tests.unit.runtime_spec.conftest import Bundle

pytestmark = pytest.mark.root

BASE = 0x08048000
EXIT = 1
GETPPID = 64  # 0 for the first process of a container
SOCKET, KEYCTL, CLONE3, UNSHARE = 359, 288, 435, 310


def program(number: int, *args: int) -> bytes:
    """Return an executable that makes a system call and exits with its negated result: the errno."""
    loads = b"".join(
        code + struct.pack("<I", arg) for code, arg in zip((b"\xbb", b"\xb9", b"\xba"), args, strict=False)
    )
    call = b"\xb8" + struct.pack("<I", number) + loads + b"\xcd\x80"
    leave = b"\xf7\xd8\x89\xc3" + b"\xb8" + struct.pack("<I", EXIT) + b"\xcd\x80"
    code, start = call + leave, 52 + 32
    size = start + len(code)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, BASE + start, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<IIIIIIII", 1, 0, BASE, BASE, size, size, 5, 0x1000)
    return header + segment + code


def executable(path: Path, number: int, *args: int) -> None:
    path.write_bytes(program(number, *args))
    path.chmod(0o755)


@pytest.fixture(scope="module")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where the kernel does not run 32-bit x86."""
    path = tmp_path_factory.mktemp("i386") / "probe"
    executable(path, 20)
    if platform.machine() != "x86_64" or os.spawnv(os.P_WAIT, str(path), ["probe"]) == 127:
        pytest.skip("no 32-bit x86 here")


@pytest.mark.usefixtures("emulation")
@pytest.mark.parametrize(
    ("number", "args", "expected"),
    [
        (GETPPID, (), 0),
        (SOCKET, (38, 5, 0), errno.EPERM),
        (SOCKET, (40, 1, 0), errno.EPERM),
        (SOCKET, (39, 1, 0), errno.EAFNOSUPPORT),
        (KEYCTL, (9999,), errno.EPERM),
        (CLONE3, (0, 0), errno.ENOSYS),
        (UNSHARE, (0x08000000,), errno.EPERM),
    ],
)
def test_one_call(bundle: Bundle, number: int, args: tuple[int, ...], expected: int) -> None:
    executable(bundle.folder / "rootfs" / "one", number, *args)
    assert bundle.run(bundle.options("/one"), check=False).returncode == expected
