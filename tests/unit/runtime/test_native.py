"""Starting by the runtime's fifo, and forgetting its state, without a runtime."""

import os
import threading
from pathlib import Path

import pytest

from runtime.shim import native
from runtime.shim.epoll import Loop
from runtime.spec.build import is_plain

DEAD = (1, "container process is already dead")


class Started:
    """A start under way in its own loop; `said` is what it came to."""

    def __init__(self, directory: Path) -> None:
        os.mkfifo(directory / "exec.fifo")
        self.fifo = directory / "exec.fifo"
        self.loop = Loop()
        self.said: list[tuple[int, str]] = []
        self.program = os.open("/bin/true", os.O_PATH)  # none that this process executes
        self.start = native.Start(self.loop, str(directory), os.getpid(), self.program, self.ended)

    def ended(self, code: int, text: str) -> None:
        self.said.append((code, text))
        self.loop.stop()

    def wait(self) -> tuple[int, str]:
        self.loop.later(5, lambda: self.ended(9, "nothing was heard"))
        self.loop.run()
        return self.said[0]


def test_a_process_that_goes(tmp_path: Path) -> None:
    started = Started(tmp_path)
    threading.Thread(target=started.fifo.write_bytes, args=(b"0",)).start()
    assert started.wait() == (0, "")
    assert not started.fifo.exists()


def test_told_when_the_program_runs_and_not_before(tmp_path: Path) -> None:
    """The process says its word first, and closes the fifo by executing."""
    started = Started(tmp_path)
    process = os.open(started.fifo, os.O_WRONLY)
    os.write(process, b"0")
    started.loop.later(0.05, lambda: os.close(process) if not started.said else None)
    assert started.wait() == (0, "")
    with pytest.raises(OSError):
        os.fstat(process)


def test_not_told_while_the_runtime_is_what_it_executes(tmp_path: Path) -> None:
    """It closes the fifo a moment before it executes its program."""
    os.mkfifo(tmp_path / "exec.fifo")
    said: list[tuple[int, str]] = []
    loop = Loop()
    own = os.open("/proc/self/exe", os.O_PATH)
    start = native.Start(loop, str(tmp_path), os.getpid(), own, lambda code, text: said.append((code, text)))
    threading.Thread(target=(tmp_path / "exec.fifo").write_bytes, args=(b"0",)).start()
    loop.later(0.3, loop.stop)
    loop.run()
    assert said == []
    start.settle()
    assert said == [(0, "")]


def test_a_process_that_dies_without_a_word(tmp_path: Path) -> None:
    started = Started(tmp_path)
    os.close(os.open(started.fifo, os.O_WRONLY))
    assert started.wait() == DEAD
    assert started.fifo.exists()


def test_a_process_that_died_before_it_came(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.start.settle()
    assert started.said == [DEAD]
    started.start.settle()
    assert started.said == [DEAD]


def test_a_process_that_went_and_died(tmp_path: Path) -> None:
    started = Started(tmp_path)
    process = os.open(started.fifo, os.O_WRONLY)
    os.write(process, b"0")
    os.close(process)
    started.start.settle()
    assert started.said == [(0, "")]


def test_no_fifo(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        native.Start(Loop(), str(tmp_path), os.getpid(), 0, lambda code, text: None)
    (tmp_path / "exec.fifo").write_text("0")
    with pytest.raises(OSError):
        native.Start(Loop(), str(tmp_path), os.getpid(), 0, lambda code, text: None)


@pytest.mark.parametrize("names", [["state.json"], ["state.json", "exec.fifo"], []])
def test_state_is_forgotten(tmp_path: Path, names: list[str]) -> None:
    directory = tmp_path / "id"
    directory.mkdir()
    for name in names:
        (directory / name).touch()
    assert native.forget(str(directory))
    assert not directory.exists()


def test_unknown_state_is_left_to_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "state.json").touch()
    (tmp_path / "checkpoint").touch()
    assert not native.forget(str(tmp_path))
    assert (tmp_path / "checkpoint").exists()
    assert not native.forget(str(tmp_path / "nosuch"))


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (b"runc version 1.1.15+ds1\ncommit: x\n", True),
        (b"runc version 1.3.0\n", True),
        (b"runc version 1.0.3\n", False),
        (b"runc version 1.15.0\n", False),
        (b"runc version 2.0.0\n", False),
        (b"crun version 1.1.2\n", False),
        (b"", False),
    ],
)
def test_versions(said: bytes, known: bool) -> None:
    assert native.is_known(said) is known


@pytest.mark.parametrize(
    ("namespaces", "more", "plain"),
    [
        ([{"type": "pid"}], {}, True),
        ([{"type": "pid", "path": ""}], {}, True),
        ([{"type": "pid", "path": "/proc/7/ns/pid"}], {}, False),
        ([{"type": "mount"}], {}, False),
        ([{"type": "pid"}], {"hooks": {}}, False),
    ],
)
def test_plain(namespaces: list[dict[str, str]], more: dict[str, object], plain: bool) -> None:
    assert is_plain({"linux": {"namespaces": namespaces}, **more}) is plain
