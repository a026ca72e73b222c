"""Which nameservers a container's other questions go to: its own, or the host's as they are at the time."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Final, NamedTuple

import msgspec

from network import resolvconf
from network.dns import redirect

_MAX_SERVERS: Final = 3  # as Docker
_CHECK_SECONDS: Final = 1.0


class Server(NamedTuple):
    """A nameserver; `on_host`: it is to be asked from the host's namespace, for it is of use there alone."""

    address: str
    on_host: bool

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def target(self) -> tuple[Any, ...]:
        """What to connect to. Raises OSError for a zone that is no interface."""
        address, _, zone = self.address.partition("%")
        if not zone:
            return (address, redirect.PORT)
        index = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
        return (address, redirect.PORT, 0, index & 0xFFFFFFFF)


class Asked(msgspec.Struct, frozen=True):
    """What a container was given (--dns, --dns-option); without nameservers the host's count."""

    servers: Sequence[str] = ()
    options: Sequence[str] = ()


class HostFile:
    """The host's resolv.conf, followed: looked at when it is needed, at most once a second."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._parsed = resolvconf.Parsed()
        self._stamp: object = None
        self._checked = float("-inf")

    async def current(self) -> resolvconf.Parsed:
        """What it says now."""
        if time.monotonic() - self._checked >= _CHECK_SECONDS:
            self._checked = time.monotonic()
            await asyncio.get_running_loop().run_in_executor(self._threads, self._check)
        return self._parsed

    def _check(self) -> None:
        stamp = [_stamp(each) for each in (resolvconf.PATH, resolvconf.SYSTEMD_PATH)]
        if stamp != self._stamp:
            self._parsed = resolvconf.parse(resolvconf.read_host()[0])
            self._stamp = stamp


def servers(asked: Asked, host: resolvconf.Parsed, *, ipv6: bool) -> list[Server]:
    """The nameservers to try, in turn. `ipv6`: the container has it."""
    if asked.servers:
        usable = (
            each for each in asked.servers if resolvconf.is_address(each) and each != resolvconf.EMBEDDED
        )
        chosen = [Server(each, on_host=False) for each in usable]
    elif host.nameservers:
        chosen = [Server(each, resolvconf.on_host_alone(each, ipv6=ipv6)) for each in host.nameservers]
    else:
        chosen = [Server(each, on_host=False) for each in resolvconf.fallback(ipv6=ipv6)]
    return chosen[:_MAX_SERVERS]


def is_ndots_set(asked: Asked, host: resolvconf.Parsed) -> bool:
    """Whether somebody chose ndots: the client then completes names without a dot itself."""
    return resolvconf.has_ndots(asked.options or host.options)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
