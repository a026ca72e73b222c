"""Makes the networks whose endpoints are interfaces under one of the host's."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

import errdefs
from network import messages, netlink
from network.drivers.driver import NetworkInfo, Pool
from network.drivers.parents import Parents
from network.drivers.sublink import PARENT, Style, SublinkDriver
from network.netlink import NetlinkError, Rtnetlink
from network.subnets import DEFAULT_IPAM
from network.worker import Worker

_log = logging.getLogger(__name__)

_DIGITS: Final = 12

Complete = Callable[[NetworkInfo], Awaitable[tuple[Pool, ...]]]


class SublinkKind:
    """The networks of one style. `complete` gives one its subnets; `parents` are those of all styles."""

    def __init__(self, style: Style, worker: Worker, parents: Parents, complete: Complete) -> None:
        self._style = style
        self._worker = worker
        self._parents = parents
        self._complete = complete

    async def create(self, asked: NetworkInfo, /) -> SublinkDriver:
        """Its parent is there afterwards, made if need be."""
        self._style.check(asked.options)
        if asked.options.get(PARENT) == "lo":
            raise errdefs.InvalidArgument(f"loopback interface is not a valid {self._style.kind} parent link")
        pools = await self._complete(asked) if asked.ipam_driver in DEFAULT_IPAM else asked.pools
        return await self._worker.run(lambda: self._create(msgspec.structs.replace(asked, pools=pools)))

    async def restore(self, made: NetworkInfo, /) -> SublinkDriver:
        """A parent that is not there and cannot be made stays missing until a container connects, or longer."""
        return await self._worker.run(lambda: self._restore(made))

    async def sweep(self) -> None:
        """Nothing is left to be removed later."""

    async def remove_strays(self) -> list[str]:
        """Parents that were made for networks that are not there."""
        return await self._worker.run(self._parents.remove_strays)

    # What follows runs in the worker's thread.

    def _create(self, info: NetworkInfo) -> SublinkDriver:
        parent = self._parent(info)
        _require_kind(self._worker.rtnl, self._style.kind)
        for other in self._parents.users(parent):
            conflict = self._style.conflict(info, other, parent) if other.driver == info.driver else ""
            if conflict:
                raise errdefs.Forbidden(conflict)
        self._parents.use(parent, info)
        try:
            self._parents.ensure(parent)
        except BaseException:
            self._parents.give_back(info)
            raise
        return SublinkDriver(self._style, self._worker, self._parents, parent, info)

    def _restore(self, made: NetworkInfo) -> SublinkDriver:
        parent = self._parent(made)
        self._parents.use(parent, made)
        try:
            self._parents.ensure(parent)
        except errdefs.WherryError as error:
            _log.warning("network %s is without its parent %s: %s", made.name, parent, error.message)
        return SublinkDriver(self._style, self._worker, self._parents, parent, made)

    def _parent(self, info: NetworkInfo) -> str:
        return info.options.get(PARENT) or f"{self._style.dummy}{info.id[:_DIGITS]}"


def _require_kind(rtnl: Rtnetlink, kind: str) -> None:
    """Pass if the kernel has interfaces of that kind: it says so before it finds that a parent is not given."""
    info = {"attrs": [("IFLA_INFO_KIND", kind)]}
    try:
        rtnl.batch([(netlink.RTM_NEWLINK, netlink.CREATE, messages.link(attrs=[("IFLA_LINKINFO", info)]))])
    except NetlinkError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise errdefs.SystemFailure(
                f"{kind} networks need {kind} interfaces, which this kernel does not have: operation not supported"
            ) from error
