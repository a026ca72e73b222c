"""What a process is to be that is put inside a container, as the daemon writes it and the shim reads it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Order:
    """A process to put inside: numbers as the kernel has them, capabilities as masks."""

    __slots__ = (
        "args",
        "capabilities",
        "cwd",
        "env",
        "gid",
        "groups",
        "no_new_privileges",
        "oom_score_adj",
        "rlimits",
        "seccomp",
        "uid",
    )

    def __init__(
        self,
        *,
        uid: int,
        gid: int,
        groups: tuple[int, ...],
        capabilities: tuple[int, int, int, int, int],
        no_new_privileges: bool,
        seccomp: bool,
        oom_score_adj: int,
        cwd: str,
        rlimits: tuple[tuple[int, int, int], ...],
        args: tuple[str, ...],
        env: tuple[str, ...],
    ) -> None:
        """`capabilities`: bounding, effective, permitted, inheritable, ambient. `seccomp`: init's filter is to hold.

        `rlimits`: (resource, soft, hard).
        """
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.capabilities = capabilities
        self.no_new_privileges = no_new_privileges
        self.seccomp = seccomp
        self.oom_score_adj = oom_score_adj
        self.cwd = cwd
        self.rlimits = rlimits
        self.args = args
        self.env = env

    def encode(self) -> bytes:
        """Return it as the content of a file. Raises ValueError for a NUL byte in a word."""
        words = [*self.args, *self.env, self.cwd]
        if any("\0" in word for word in words):
            raise ValueError("a word holds a NUL byte")
        fields = [
            str(self.uid),
            str(self.gid),
            _join(self.groups),
            _join(self.capabilities),
            str(int(self.no_new_privileges)),
            str(int(self.seccomp)),
            str(self.oom_score_adj),
            self.cwd,
            ";".join(_join(limit) for limit in self.rlimits),
            str(len(self.args)),
            *self.args,
            *self.env,
        ]
        return "\0".join(fields).encode("utf-8", "surrogateescape")

    @classmethod
    def decode(cls, data: bytes) -> Order:
        """Return the order in a file. Raises ValueError and IndexError when it is none."""
        text = data.decode("utf-8", "surrogateescape").split("\0")
        count = int(text[9])
        bounding, effective, permitted, inheritable, ambient = _numbers(text[3])
        limits = [_numbers(limit) for limit in text[8].split(";") if limit]
        return cls(
            uid=int(text[0]),
            gid=int(text[1]),
            groups=_numbers(text[2]),
            capabilities=(bounding, effective, permitted, inheritable, ambient),
            no_new_privileges=text[4] == "1",
            seccomp=text[5] == "1",
            oom_score_adj=int(text[6]),
            cwd=text[7],
            rlimits=tuple((kind, soft, hard) for kind, soft, hard in limits),
            args=tuple(text[10 : 10 + count]),
            env=tuple(text[10 + count :]),
        )


def _join(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()
