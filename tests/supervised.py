"""A wherryd under a service manager that is played here: it gets its socket as fd 3 and tells how it stands."""

import socket
import sys
from pathlib import Path

from tests.daemon import Wherryd

# systemd's child end: the listener becomes fd 3, LISTEN_PID is the daemon's own.
HAND_OVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.closerange(4, 100); "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='wherry.socket'); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class Supervised(Wherryd):
    """A daemon whose socket and notifications are the test's."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.socket))
        self.listener.listen(16)
        self.pass_fds = (self.listener.fileno(),)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(root / "notify"))
        self.manager.settimeout(15)
        self.env = {
            "NOTIFY_SOCKET": str(root / "notify"),
            "WATCHDOG_USEC": "30000000",
            "SECRET": "of the service",
        }

    @property
    def argv(self) -> list[str]:
        """The daemon gets the listener as fd 3, and LISTEN_PID is its own."""
        argv = [word if word != f"unix://{self.socket}" else "fd://" for word in super().argv]
        return [sys.executable, "-I", "-c", HAND_OVER, str(self.listener.fileno()), *argv]

    def told(self) -> dict[str, str]:
        """The next notification."""
        lines = self.manager.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def destroy(self) -> None:
        """Also the sockets."""
        super().destroy()
        self.listener.close()
        self.manager.close()
