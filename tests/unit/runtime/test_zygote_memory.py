"""What the zygote does so that shims share memory: a life lived before the first of them, and where objects lie.

Each test has a process of its own: what is asked is a process's memory, modules, children and descriptors.
"""

import compileall
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime import zygote
from tests.waiting import eventually

START = """
import json, os, sys
sys.path.append(sys.argv[1])
from runtime.shim import epoll, holes, libc, rehearsal
epoll.heed_children()
libc.become_subreaper()
directory = sys.argv[2]
"""
OPENED = """
told = []
def hook(event, arguments):
    code = event in ("import", "compile", "exec", "ctypes.dlopen", "marshal.loads")
    if code or (event == "open" and str(arguments[0]).endswith((".py", ".pyc", ".so"))):
        told.append([event, str(arguments[:1])])
rehearsal.LIVES = 2
sys.addaudithook(hook)
for native in (False, True):
    rehearsal.rehearse(directory, native=native)
print(json.dumps(told))
"""
LIVED = """
heard, written = [], []
write = rehearsal.Shim.write_file
def write_file(self, name, data):
    written.append(name)
    write(self, name, data)
rehearsal.Shim.write_file = write_file
took = rehearsal._Daemon._answer
def answer(self, message):
    heard.append([field.decode() for field in message])
    took(self, message)
rehearsal._Daemon._answer = answer
rehearsal.LIVES = 1
before = set(rehearsal._descriptors())
rehearsal.rehearse(directory, native=sys.argv[3] == "1")
with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as children:
    left = children.read()
print(json.dumps([heard, written, left, os.path.exists(directory), list(before ^ set(rehearsal._descriptors()))]))
"""
STUCK = """
import time
rehearsal.LIVES, rehearsal._PATIENCE = 2, 0.2
rehearsal._Daemon._answer = lambda self, message: None
os.mkdir(directory)
open(directory + "/of-one-that-was-killed", "w").close()
rehearsal.rehearse(directory, native=True)
try:
    os.waitpid(-1, os.WNOHANG)
    left = "children"
except ChildProcessError:
    left = ""
print(json.dumps([left, os.path.exists(directory)]))
"""
EXECUTED = """
import gc
found = []
took = rehearsal._Daemon._answer
def answer(self, message):
    def look():
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.extend(type(one).__name__ for one in gc.garbage)
        gc.set_debug(0)
        gc.garbage.clear()
        took(self, message)
    if message == [b"0", b"exec-exit"]:
        self._shim.loop.later(0.6, look)  # its launch is held for half a second
    else:
        took(self, message)
rehearsal._Daemon._answer = answer
rehearsal.LIVES = 1
gc.collect()
gc.disable()
rehearsal.rehearse(directory, native=True)
print(json.dumps(found))
"""
KILLED = """
import signal
def answer(self, message):
    if message == [b"0", b"created"]:
        print(open(directory + "/pid").read(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
rehearsal._Daemon._answer = answer
rehearsal.rehearse(directory, native=True)
"""
PAGES = """
kept = holes.fill_holes()
pages = {}
for size in range(64, 513, 16):
    made = [bytes(size - 33) for _ in range(20)]
    pages[size] = len({id(one) // 4096 for one in made})
print(json.dumps([pages, sum(map(sys.getsizeof, kept))]))
"""


def python(code: str, *arguments: str) -> Any:
    """Run a program as the zygote is run, and return what it prints."""
    argv = [sys.executable, "-I", "-S", "-B", "-c", code, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return json.loads(done.stdout)


def test_a_life_imports_and_opens_no_code(tmp_path: Path) -> None:
    assert python(START + OPENED, zygote._PACKAGES, str(tmp_path / "life")) == []


@pytest.mark.parametrize("native", ["0", "1"])
def test_a_rehearsed_life_is_whole_and_leaves_nothing(tmp_path: Path, native: str) -> None:
    heard, written, *left = python(START + LIVED, zygote._PACKAGES, str(tmp_path / "life"), native)
    assert heard[:5] == [
        ["0", "hello"],
        ["0", "created"],
        ["1", "error"],  # it has no terminal to resize
        ["2", "ok"],
        ["0", "exec-exit"],
    ]
    assert written == ["shim.pid", "exit"]
    assert left == ["", False, []]


def test_a_life_that_gets_stuck_is_given_up(tmp_path: Path) -> None:
    assert python(START + STUCK, zygote._PACKAGES, str(tmp_path / "life")) == ["", False]


def test_an_exec_leaves_no_garbage(tmp_path: Path) -> None:
    """It is collected in idle moments alone: a shim whose container writes all the time would grow with each exec."""
    assert python(START + EXECUTED, zygote._PACKAGES, str(tmp_path / "life")) == []


def test_a_life_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-S", "-B", "-c", START + KILLED, zygote._PACKAGES, str(tmp_path / "life")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    try:
        eventually(lambda: not alive(pid))
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Tell whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_new_objects_lie_together() -> None:
    """Without it they are on up to ten pages."""
    # As where it is installed: to compile leaves holes of its own.
    for package in ("runtime", "runtime/shim"):
        compileall.compile_dir(f"{zygote._PACKAGES}/{package}", maxlevels=0, quiet=1)
    pages, taken = python(START + PAGES, zygote._PACKAGES, "")
    assert all(number <= 1 + -(-20 * int(size) // 4096) for size, number in pages.items()), pages
    assert taken < 1 << 20


def test_the_library_is_loaded_before_the_shims_own_code() -> None:
    code = (
        f"import sys, json; sys.path.append(sys.argv[1]); import {zygote._LIBRARY}; before = set(sys.modules)"
    )
    loaded = python(
        f"{code}; import runtime.shim.zygote; print(json.dumps(list(set(sys.modules) - before)))",
        zygote._PACKAGES,
    )
    assert [name for name in loaded if name.partition(".")[0] != "runtime"] == ["__future__"]
