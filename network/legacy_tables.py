"""Reads the FORWARD chain of iptables-legacy from the kernel, which tells nobody when its tables change.

Two system calls of some microseconds, where `iptables-legacy -S` is a process; so it can be looked at every so often.
The structures are those of linux/netfilter_ipv4/ip_tables.h and its sibling for IPv6.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from pathlib import Path
from typing import Final

import msgspec

from network.nftables.element import Family

_TABLE: Final = b"filter".ljust(32, b"\0")
_GET_INFO: Final = 64
_GET_ENTRIES: Final = 65
_INFO: Final = struct.Struct("=32sI5I5III")
_ENTRIES_HEADER: Final = 40
_FORWARD: Final = 2
_VERDICT: Final = 32  # bytes from a target's begin to its verdict
_ACCEPT: Final = -2
_MAX_BYTES: Final = 64 << 20


class _Layout(msgspec.Struct, frozen=True):
    level: int
    names: str
    address_family: socket.AddressFamily
    target_offset: int


_LAYOUTS: Final[dict[Family, _Layout]] = {
    "ipv4": _Layout(socket.IPPROTO_IP, "ip_tables_names", socket.AF_INET, 88),
    "ipv6": _Layout(socket.IPPROTO_IPV6, "ip6_tables_names", socket.AF_INET6, 140),
}


class Forward(msgspec.Struct, frozen=True):
    """The FORWARD chain: the bytes of its rules, and whether its policy lets packets through."""

    rules: bytes
    accepts: bool

    @property
    def filters(self) -> bool:
        """Whether it is anything but a plain accept."""
        return bool(self.rules) or not self.accepts


def exists(family: Family) -> bool:
    """Whether there is a filter table; asking for an absent one would make it."""
    try:
        return "filter" in Path("/proc/thread-self/net", _LAYOUTS[family].names).read_text().split()
    except OSError:
        return False


def forward(family: Family) -> Forward | None:
    """The chain in the namespace of the calling thread; None where there is none, or it cannot be read."""
    layout = _LAYOUTS[family]
    if not exists(family):
        return None
    try:
        with socket.socket(layout.address_family, socket.SOCK_RAW, socket.IPPROTO_RAW) as asker:
            _, _, *offsets, _, size = _INFO.unpack(_get(asker, layout.level, _GET_INFO, _TABLE, _INFO.size))
            if size > _MAX_BYTES:
                return None
            header = (_TABLE + struct.pack("=I", size)).ljust(_ENTRIES_HEADER, b"\0")
            entries = _get(asker, layout.level, _GET_ENTRIES, header, _ENTRIES_HEADER + size)
    except OSError:  # changed between the two calls, or not permitted
        return None
    begin, policy = offsets[_FORWARD], offsets[5 + _FORWARD]
    return parse(entries[_ENTRIES_HEADER:], begin, policy, layout.target_offset)


def parse(entries: bytes, begin: int, policy: int, target_offset: int) -> Forward:
    """The chain from its first rule's and its policy's offsets; `target_offset` is where an entry says its target's."""
    (target,) = struct.unpack_from("=H", entries, policy + target_offset)
    (verdict,) = struct.unpack_from("=i", entries, policy + target + _VERDICT)
    return Forward(entries[begin:policy], verdict == _ACCEPT)


def _get(asker: socket.socket, level: int, option: int, request: bytes, size: int) -> bytes:
    """getsockopt with a request in its buffer, which Python's own has not."""
    buffer = ctypes.create_string_buffer(request, size)
    length = ctypes.c_uint32(size)
    if _libc.getsockopt(asker.fileno(), level, option, buffer, ctypes.byref(length)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return buffer.raw


_libc = ctypes.CDLL(None, use_errno=True)
