"""What the kernel tells of each task that ends (taskstats over generic netlink): its parent, name and CPU time, in ns.

The only way to see the CPU of processes as short as runc's whoever waits for them. Needs CONFIG_TASKSTATS, and root in
the first pid namespace. Layout: linux/taskstats.h, version 12 and newer.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NETLINK_GENERIC, REQUEST, GENL_ID_CTRL = 16, 1, 16
GETFAMILY, FAMILY_ID, FAMILY_NAME = 3, 1, 2
GET, GET_PID, REGISTER, DEREGISTER = 1, 1, 3, 4
AGGREGATE_PID, STATS = 4, 3
NLMSG_ERROR, SO_RCVBUFFORCE = 2, 33
HEADER, GENERIC = struct.Struct("=IHHII"), struct.Struct("=BBH")
OF_VERSION, OF_CPU, OF_COMM, OF_PIDS, OF_PEAK, OF_TGID = 0, 72, 80, 128, 200, 368


class NotThere(OSError):
    """This kernel does not tell, or not us."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A thread that ended. `process`: its thread group; `parent`: the process that would wait for that; ns of CPU;
    `peak`: the most memory that its process had until then, in bytes."""

    process: int
    parent: int
    comm: str
    cpu: int
    peak: int = 0


class Taskstats:
    """Listens to the ends of tasks on all CPUs from the time it is made."""

    def __init__(self) -> None:
        """Errors: NotThere."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        try:
            self._socket.bind((0, 0))
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
            self._family = self._find_family()
            self._check()
            cpus = Path("/sys/devices/system/cpu/possible").read_text().strip().encode() + b"\0"
            self._send(self._family, GET, attribute(REGISTER, cpus))
        except OSError as error:
            self._socket.close()
            raise NotThere(f"no taskstats: {error}") from error
        self._cpus = cpus

    def close(self) -> None:
        """Listen no more."""
        self._send(self._family, GET, attribute(DEREGISTER, self._cpus))
        self._socket.close()

    def drain(self) -> list[Ended]:
        """All tasks that have ended since the last call. Errors: OSError(ENOBUFS) when some were lost."""
        ended: list[Ended] = []
        while True:
            try:
                ended += parse(self._socket.recv(1 << 16, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return ended

    def _send(self, family: int, command: int, payload: bytes) -> None:
        body = GENERIC.pack(command, 1, 0) + payload
        self._socket.send(HEADER.pack(HEADER.size + len(body), family, REQUEST, 1, 0) + body)

    def _ask(self, family: int, command: int, payload: bytes) -> bytes:
        self._send(family, command, payload)
        data = self._socket.recv(1 << 16)
        if HEADER.unpack_from(data)[1] == NLMSG_ERROR:
            code = -struct.unpack_from("=i", data, HEADER.size)[0]
            raise NotThere(code, os.strerror(code))
        return data[HEADER.size + GENERIC.size :]

    def _find_family(self) -> int:
        answer = self._ask(GENL_ID_CTRL, GETFAMILY, attribute(FAMILY_NAME, b"TASKSTATS\0"))
        return int(struct.unpack_from("=H", attributes(answer)[FAMILY_ID])[0])

    def _check(self) -> None:
        """Ask about ourselves: the layout must be the one that is known here."""
        own = os.getpid()
        answer = self._ask(self._family, GET, attribute(GET_PID, struct.pack("=I", own)))
        stats = attributes(attributes(answer)[AGGREGATE_PID])[STATS]
        found = _ended(stats) if len(stats) > OF_TGID + 4 else None
        if found is None or (found.process, found.parent) != (own, os.getppid()):
            raise NotThere(f"version {struct.unpack_from('=H', stats)[0]} has another layout")


def attribute(kind: int, value: bytes) -> bytes:
    """Encode a netlink attribute."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Decode netlink attributes."""
    found, at = {}, 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        found[kind & 0x3FFF] = data[at + 4 : at + size]
        at += max(4, size + -size % 4)
    return found


def parse(data: bytes) -> Iterator[Ended]:
    """The ends that a datagram tells; what it says of whole processes, too, is the sum of what it has told before."""
    at = 0
    while at + HEADER.size <= len(data):
        size, kind = HEADER.unpack_from(data, at)[:2]
        if kind != NLMSG_ERROR:
            told = attributes(data[at + HEADER.size + GENERIC.size : at + size])
            if AGGREGATE_PID in told:
                yield _ended(attributes(told[AGGREGATE_PID])[STATS])
        at += max(HEADER.size, size + -size % 4)


def _ended(stats: bytes) -> Ended:
    cpu = struct.unpack_from("=Q", stats, OF_CPU)[0]
    comm = stats[OF_COMM : OF_COMM + 32].partition(b"\0")[0].decode(errors="replace")
    parent = struct.unpack_from("=I", stats, OF_PIDS + 4)[0]
    peak = struct.unpack_from("=Q", stats, OF_PEAK)[0] << 10
    return Ended(struct.unpack_from("=I", stats, OF_TGID)[0], parent, comm, cpu, peak)
