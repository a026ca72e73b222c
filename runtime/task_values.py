"""What is asked of a task and of its execs, and how they end."""

import signal
from pathlib import Path
from typing import Any

import msgspec

EXIT_KILLED = 128 + signal.SIGKILL


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """An OCI runtime with runc's command line: `path` is absolute or looked up in PATH; `args` are global
    options.
    """

    name: str
    path: str
    args: tuple[str, ...] = ()


class LogFile(msgspec.Struct, frozen=True, kw_only=True):
    """A json-file log: rotated at `max_size` bytes (None: never), `max_files` kept including the current one.

    `attrs` is an encoded JSON object put into each record, b"" for none. `numbered`: beside it, `path`.index tells
    how many records were written before each file.
    """

    path: Path
    max_size: int | None = None
    max_files: int = 1
    attrs: bytes = b""
    numbered: bool = False


class TaskRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to create: the bundle's config.json says the rest, and must agree on `terminal`.

    `stdin_once`: the first client's end of stdin closes it. `console_size` is (height, width). `plain`: the spec has
    a new PID namespace and no hooks (`runtime.spec.build.is_plain`). `owner` is the host's (uid, gid) of the
    container's root.
    """

    id: str
    bundle: Path
    runtime: Runtime
    terminal: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    log: LogFile | None = None
    console_size: tuple[int, int] | None = None
    plain: bool = False
    owner: tuple[int, int] = (0, 0)


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: `code` 0..255, 128+n for signal n; `at` in unix ns; `oom`: the kernel killed for
    memory.

    `reason` says why no more is known than that it was killed (its shim was lost); "" when all is known.
    """

    code: int
    at: int
    oom: bool = False
    reason: str = ""


class Attach(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams a client takes part in."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True

    @property
    def wants(self) -> str:
        """The protocol's letters for it."""
        return "i" * self.stdin + "o" * self.stdout + "e" * self.stderr


class ExecRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A process to run in the container: `process` is the OCI process object, and must agree on `terminal`.

    `id` is new, of letters and digits. Without `attach` its output is dropped.
    """

    id: str
    process: dict[str, Any]
    terminal: bool = False
    open_stdin: bool = False
    attach: Attach | None = None
