"""What systemd and a service tell each other: readiness, and sockets handed over."""

import os
import socket
import time

_FIRST_FD = 3
_NOTIFY_TIMEOUT = 1.0  # seconds


class Notifier:
    """Tells the service manager how the daemon stands; without one it tells nobody.

    The variables are taken out of the environment: with NOTIFY_SOCKET a `runc start` would wait.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls) -> "Notifier":
        """The service manager of this process."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            os.environ.pop(name, None)
        return cls(address)

    def ready(self) -> None:
        """The API answers."""
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS=Serving the Engine API")

    def reloading(self) -> None:
        """The configuration is read again; `ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={_monotonic_usec()}")

    def stopping(self, status: str) -> None:
        """The daemon ends."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(_NOTIFY_TIMEOUT)
            try:
                out.sendto(message.encode(), self._address)
            except OSError:
                return  # a manager that does not listen must not end the daemon


_handed_over: dict[int, str] = {}


def take_sockets() -> None:
    """Note the sockets that were handed over to this process, and take them out of the environment."""
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return
    for index in range(int(count)):
        fd = _FIRST_FD + index
        os.set_inheritable(fd, False)  # noqa: FBT003
        _handed_over[fd] = names[index] if index < len(names) else ""


def listen_sockets() -> dict[int, str]:
    """The sockets handed over, with their names."""
    return dict(_handed_over)


def _monotonic_usec() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
