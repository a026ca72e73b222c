"""The one thread in which kernel calls of the network are made, and the sockets that live in it.

One thread is the fastest way (the kernel takes the rtnl lock anyway: 1.6 ms a sandbox with one thread, 4.6 with
sixteen), and what it owns needs no lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from network.conntrack import Conntrack
from network.netlink import Rtnetlink
from network.nftables.apply import Nft
from network.nftables.transaction import Transactions

T = TypeVar("T")


class Worker:
    """Runs functions one after the other in its thread. The sockets are to be used by such functions alone."""

    rtnl: Rtnetlink
    nft: Nft
    elements: Transactions
    conntrack: Conntrack

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netlink")

    @classmethod
    async def open(cls) -> Worker:
        """Start the thread, in the network namespace of the calling thread."""
        worker = cls()
        try:
            await worker.run(worker._make_sockets)
        except BaseException:
            worker._executor.shutdown(wait=False)
            raise
        return worker

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, when its turn has come. A cancelled caller does not stop work that has begun."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def close(self) -> None:
        """End the thread after what is queued."""
        await self.run(self._close_sockets)
        self._executor.shutdown(wait=False)

    def _make_sockets(self) -> None:
        self.rtnl = Rtnetlink()
        self.nft = Nft()
        self.elements = Transactions()
        self.conntrack = Conntrack()

    def _close_sockets(self) -> None:
        self.rtnl.close()
        self.elements.close()
        self.conntrack.close()
