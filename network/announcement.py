"""Telling the neighbours of an endpoint that an address is at another MAC address now.

A MAC address that is made of the IPv4 address need not be told: whoever had the address before had that one, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final

from network import changes, links, netlink, netns, sysctl
from network.endpoint import Endpoint, mac_of
from network.netlink import Rtnetlink
from network.sandbox import Sandbox
from network.worker import Worker

_AFTER_SECONDS: Final = (0.0, 1.0, 1.0)  # again, for a frame may get lost


class Announcements:
    """Owner of the tasks that tell. `worker` enters the namespaces."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """Tell, a few times, where neighbours may remember another one for the addresses of a new endpoint."""
        if sandbox.fd < 0 or not _is_needed(endpoint):
            return
        fd = os.dup(sandbox.fd)  # the sandbox may be closed meanwhile
        task = asyncio.get_running_loop().create_task(self._announce(fd, endpoint.interface))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Tell nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _announce(self, fd: int, interface: str) -> None:
        """By gratuitous ARP and an unsolicited neighbour advertisement; an endpoint that has gone is no failure."""
        try:
            with contextlib.suppress(OSError):
                for seconds in _AFTER_SECONDS:
                    await asyncio.sleep(seconds)
                    await self._worker.run(lambda: netns.inside(fd, lambda: _announce(interface)))
        finally:
            os.close(fd)


def _is_needed(endpoint: Endpoint) -> bool:
    if not endpoint.interface or not endpoint.mac:
        return False
    return bool(endpoint.ipv6) or endpoint.mac != (endpoint.ipv4 and mac_of(endpoint.ipv4))


def _announce(name: str) -> None:
    """The kernel does so itself when a MAC address is set, also to the same one."""
    sysctl.write(f"ipv4/conf/{name}/arp_notify", "1")
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        sysctl.write(f"ipv6/conf/{name}/ndisc_notify", "1")
    with Rtnetlink() as rtnl:
        found = links.find(rtnl, name=name)
        same = changes.link(changes.hardware(found.mac), index=found.index)
        rtnl.batch([(netlink.RTM_SETLINK, 0, same)])
