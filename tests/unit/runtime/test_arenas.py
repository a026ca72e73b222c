"""How many arenas the threads of a process allocate from, as glibc itself counts them."""

import subprocess
import sys

import pytest

ALLOCATE = """
import ctypes, sys, threading
from runtime.shim import libc

most = int(sys.argv[1])
if most:
    libc.share_arenas(most)
c = ctypes.CDLL(None)
c.malloc.restype = c.fopen.restype = ctypes.c_void_p
c.malloc.argtypes, c.malloc_info.argtypes = [ctypes.c_size_t], [ctypes.c_int, ctypes.c_void_p]
c.fclose.argtypes = [ctypes.c_void_p]
barrier = threading.Barrier(4)

def work():
    barrier.wait()
    c.malloc(1000)
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = c.fopen(b"/dev/stdout", b"w")
c.malloc_info(0, out)
c.fclose(out)
"""


@pytest.mark.parametrize(("most", "several"), [(0, True), (1, False)])
def test_arenas_of_threads(most: int, *, several: bool) -> None:
    command = [sys.executable, "-c", ALLOCATE, str(most)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "<malloc" not in told:
        pytest.skip("not glibc")
    assert (told.count("<heap ") > 1) is several, told
