"""Carries UDP datagrams from a held socket to a container and back: one flow per client and address it spoke to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

_DATAGRAM: Final = 65535
_DATAGRAMS_A_TURN: Final = 64
_MAX_FLOWS: Final = 1024
_IDLE_SECONDS: Final = 90.0  # as docker-proxy
_IP_PKTINFO: Final = 8

Control = list[tuple[int, int, bytes]]
Target = tuple[str, int]
Refuses = Callable[[tuple[Any, ...]], bool]
"""Whether who speaks from that socket address is not to be carried."""


class _Flow(msgspec.Struct):
    """A client, the control message that makes answers leave from the address it spoke to, and our socket for it."""

    client: Any
    control: Control
    socket: socket.socket
    used: float = 0.0


class UdpProxy:
    """Serves a bound UDP socket; a flow ends after 90 idle seconds, the longest idle one when there are 1024."""

    def __init__(self, holder: socket.socket, target: Target, refuses: Refuses) -> None:
        self._holder = holder
        self._refuses = refuses
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._flows: OrderedDict[tuple[Any, bytes], _Flow] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None
        self._started = False

    def start(self) -> None:
        """Begin to receive."""
        if self._holder.family == socket.AF_INET6:
            self._holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            self._holder.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._started = True
        self._loop.add_reader(self._holder.fileno(), self._receive)

    def close(self) -> None:
        """Stop receiving and end all flows."""
        if self._started:
            self._started = False
            self._loop.remove_reader(self._holder.fileno())
        if self._sweep is not None:
            self._sweep.cancel()
        while self._flows:
            self._end_oldest()

    def _receive(self) -> None:
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                data, ancillary, _, client = self._holder.recvmsg(_DATAGRAM, socket.CMSG_SPACE(20))
            except OSError:  # drained, or an ICMP error of an earlier answer
                return
            flow = self._flow(client, _answering(ancillary))
            if flow is not None:
                with contextlib.suppress(OSError):  # a datagram may get lost
                    flow.socket.send(data)

    def _flow(self, client: Any, control: Control) -> _Flow | None:
        key = (client, control[0][2] if control else b"")
        flow = self._flows.get(key)
        if flow is None:
            if self._refuses(client):
                return None
            if len(self._flows) >= _MAX_FLOWS:
                self._end_oldest()
            flow = self._open(client, control)
            if flow is None:
                return None
            self._flows[key] = flow
            self._loop.add_reader(flow.socket.fileno(), self._answer, flow)
            if self._sweep is None:
                self._sweep = self._loop.call_later(_IDLE_SECONDS / 3, self._end_idle)
        flow.used = self._loop.time()
        self._flows.move_to_end(key)
        return flow

    def _open(self, client: Any, control: Control) -> _Flow | None:
        try:
            ours = socket.socket(family_of(self._target), socket.SOCK_DGRAM)
        except OSError:
            return None
        ours.settimeout(0)
        try:
            ours.connect(self._target)
        except OSError:
            ours.close()
            return None
        return _Flow(client, control, ours)

    def _answer(self, flow: _Flow) -> None:
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                data = flow.socket.recv(_DATAGRAM)
                self._holder.sendmsg([data], flow.control, 0, flow.client)
            except BlockingIOError:  # drained
                return
            except OSError:  # nobody listens in the container: uvloop polls no descriptor on after an error
                self._loop.remove_reader(flow.socket.fileno())
                self._loop.add_reader(flow.socket.fileno(), self._answer, flow)
                return
            flow.used = self._loop.time()

    def _end_idle(self) -> None:
        self._sweep = None
        oldest = self._loop.time() - _IDLE_SECONDS
        while self._flows and next(iter(self._flows.values())).used < oldest:
            self._end_oldest()
        if self._flows:
            self._sweep = self._loop.call_later(_IDLE_SECONDS / 3, self._end_idle)

    def _end_oldest(self) -> None:
        _, flow = self._flows.popitem(last=False)
        self._loop.remove_reader(flow.socket.fileno())
        flow.socket.close()


def family_of(target: Target) -> socket.AddressFamily:
    """The family of a container's address."""
    return socket.AF_INET6 if ":" in target[0] else socket.AF_INET


def _answering(ancillary: list[tuple[int, int, bytes]]) -> Control:
    """The control message for answers: from the address that was spoken to, by whatever interface."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return [
                (level, kind, data[:16] + (b"\0\0\0\0" if not data.startswith(b"\xfe\x80") else data[16:20]))
            ]
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return [(level, kind, b"\0\0\0\0" + data[8:12] + b"\0\0\0\0")]
    return []
