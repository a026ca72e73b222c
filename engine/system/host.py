"""Facts of the host, read from where the kernel and the distribution put them. All of it blocks a little."""

import os
import re
import shlex
import time
from pathlib import Path

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "i386": "386"}
_CONTAINER_MARKS = ("/run/.containerenv", "/.dockerenv")


def operating_system() -> tuple[str, str]:
    """What the distribution calls itself, and its version: ("Debian GNU/Linux 13 (trixie)", "13")."""
    facts = _os_release()
    name = facts.get("PRETTY_NAME") or facts.get("NAME") or "Linux"
    if any(map(os.path.exists, _CONTAINER_MARKS)):
        name += " (containerized)"
    return name, facts.get("VERSION_ID", "")


def memory() -> int:
    """The host's memory in bytes, 0 if it cannot be known."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", _text("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def processors() -> int:
    """How many processors this daemon may use."""
    return len(os.sched_getaffinity(0))


def go_architecture() -> str:
    """The architecture as images name it: "amd64"."""
    machine = os.uname().machine
    return _MACHINES.get(machine, "arm" if machine.startswith("arm") else machine)


def forwards_ipv4() -> bool:
    """Whether the kernel forwards packets at all."""
    return _text("/proc/sys/net/ipv4/ip_forward").strip() == "1"


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd")) - 1


def has_seccomp() -> bool:
    """Whether the kernel filters system calls."""
    return "Seccomp:" in _text("/proc/self/status")


def local_time() -> str:
    """Now, in RFC 3339 with nanoseconds and the host's zone."""
    seconds, fraction = divmod(time.time_ns(), 10**9)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    offset = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{fraction:09d}{offset}"


def _os_release() -> dict[str, str]:
    text = next(filter(None, map(_text, _OS_RELEASE)), "")
    facts = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            facts[name.strip()] = _unquoted(value)
    return facts


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value.strip("\"'")


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
