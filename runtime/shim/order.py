"""What a shim is born with: the order that the daemon sends through the zygote."""

from __future__ import annotations

from runtime.shim import protocol


class Order:
    """One container to create. All paths are absolute; sizes in bytes; 0 and "" mean none.

    `owner`: (uid, gid) of the container's root on the host. `plain`: all processes end with init, as in a PID
    namespace of its own, and no hook is to be run.
    """

    __slots__ = (
        "bundle",
        "height",
        "id",
        "log_attrs",
        "log_max_files",
        "log_max_size",
        "log_numbered",
        "log_path",
        "open_stdin",
        "owner",
        "plain",
        "root",
        "runtime",
        "runtime_args",
        "state_dir",
        "stdin_once",
        "terminal",
        "width",
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002  the container's id, by its wire name
        bundle: str,
        state_dir: str,
        root: str,
        runtime: str,
        runtime_args: tuple[str, ...] = (),
        terminal: bool = False,
        open_stdin: bool = False,
        stdin_once: bool = False,
        height: int = 0,
        width: int = 0,
        log_path: str = "",
        log_max_size: int = 0,
        log_max_files: int = 1,
        log_attrs: bytes = b"",
        log_numbered: bool = False,
        plain: bool = False,
        owner: tuple[int, int] = (0, 0),
    ) -> None:
        self.id = id
        self.bundle = bundle
        self.state_dir = state_dir
        self.root = root
        self.runtime = runtime
        self.runtime_args = runtime_args
        self.terminal = terminal
        self.open_stdin = open_stdin
        self.stdin_once = stdin_once
        self.height = height
        self.width = width
        self.log_path = log_path
        self.log_max_size = log_max_size
        self.log_max_files = log_max_files
        self.log_attrs = log_attrs
        self.log_numbered = log_numbered
        self.plain = plain
        self.owner = owner

    def encode(self) -> bytes:
        """Return the order as one message. Raises ValueError for a NUL byte or too much of it."""
        return protocol.encode(
            "create",
            self.id,
            self.bundle,
            self.state_dir,
            self.root,
            self.runtime,
            int(self.terminal),
            int(self.open_stdin),
            int(self.stdin_once),
            self.height,
            self.width,
            self.log_path,
            self.log_max_size,
            self.log_max_files,
            self.log_attrs,
            int(self.plain),
            int(self.log_numbered),
            *self.owner,
            *self.runtime_args,
        )

    @classmethod
    def decode(cls, message: bytes) -> Order:
        """Return the order in a whole message. Raises ValueError when it is none."""
        fields = message[4:].split(b"\0")
        if fields[0] != b"create" or len(fields) < 19:
            raise ValueError("not an order to create a container")
        text = [field.decode("utf-8", "surrogateescape") for field in fields]
        return cls(
            id=text[1],
            bundle=text[2],
            state_dir=text[3],
            root=text[4],
            runtime=text[5],
            terminal=text[6] == "1",
            open_stdin=text[7] == "1",
            stdin_once=text[8] == "1",
            height=int(text[9]),
            width=int(text[10]),
            log_path=text[11],
            log_max_size=int(text[12]),
            log_max_files=int(text[13]),
            log_attrs=fields[14],
            plain=text[15] == "1",
            log_numbered=text[16] == "1",
            owner=(int(text[17]), int(text[18])),
            runtime_args=tuple(text[19:]),
        )
