"""A network whose endpoints are interfaces under one of the host's: what macvlan and ipvlan have in common."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

import errdefs
from network import changes, interface, messages, netlink, netns
from network.drivers import endpoints
from network.drivers.driver import NetworkInfo
from network.drivers.parents import Parents
from network.endpoint import Endpoint, EndpointRequest, verify_mac
from network.interface import Finish
from network.ipam.leases import Leases
from network.netlink import Rtnetlink
from network.sandbox import Sandbox
from network.worker import Worker

_log = logging.getLogger(__name__)

PARENT: Final = "parent"


class Style(Protocol):
    """What macvlan and ipvlan differ in."""

    kind: str
    """Of the interfaces; the driver's name too."""

    dummy: str
    """What the names of parents begin with that lead nowhere."""

    def check(self, options: Mapping[str, str]) -> None:
        """Raises InvalidArgument in Docker's words for options that cannot be."""

    def conflict(self, mine: NetworkInfo, other: NetworkInfo, parent: str) -> str:
        """Why the two cannot have that parent both; "" when they can."""

    def data(self, options: Mapping[str, str]) -> list[tuple[str, Any]]:
        """What the kernel is told of an endpoint's interface."""

    def mac(self, options: Mapping[str, str], wanted: str, address: str) -> str:
        """Of an endpoint's interface with that IP address, "" for what the kernel gives it.

        Raises InvalidArgument for a wish that cannot be.
        """

    def on_link(self, options: Mapping[str, str]) -> bool:
        """Whether the interface itself is the way out, and not a gateway."""


class SublinkDriver:
    """Interfaces are made in their sandboxes, and removed there at once, hot or not: those that wait for the end of a
    namespace hold their parent for some time yet.
    """

    def __init__(
        self, style: Style, worker: Worker, parents: Parents, parent: str, info: NetworkInfo
    ) -> None:
        self._style = style
        self._worker = worker
        self._parents = parents
        self._parent = parent
        self._leases = Leases(info)
        self._plugged: set[str] = set()  # ids of endpoints that have an interface
        self.info = info

    async def connect(
        self, sandbox: Sandbox, request: EndpointRequest, name: str, finish: Finish, /
    ) -> Endpoint:
        """An interface under the parent. Published ports are passed over, as in Docker."""
        verify_mac(request.mac)
        if request.published:
            _log.warning("%s driver does not support port mappings", self._style.kind)
        return await self._worker.run(lambda: self._connect(sandbox, request, name, finish))

    async def adopt(self, sandbox: Sandbox, endpoint: Endpoint, /) -> None:
        """Take the endpoint's addresses again; its interface is to be there."""
        await self._worker.run(lambda: self._adopt(sandbox, endpoint))

    async def disconnect(self, sandbox: Sandbox, endpoint: Endpoint, /, *, hot: bool) -> None:  # noqa: ARG002
        """Remove the interface and free the addresses."""
        await self._worker.run(lambda: self._disconnect(sandbox, endpoint.id, endpoint.interface))

    async def remove(self) -> None:
        """Remove the parent when it was made for networks, and this is the last one."""
        await self._worker.run(lambda: self._parents.give_back(self.info))

    # What follows runs in the worker's thread.

    def _connect(self, sandbox: Sandbox, request: EndpointRequest, name: str, finish: Finish) -> Endpoint:
        index = self._parents.ensure(self._parent)
        asked = endpoints.named(self.info, sandbox, request, name)
        try:
            endpoint = self._addressed(asked, request)
            self._plug(index, sandbox.fd, endpoint)
            return netns.inside(sandbox.fd, lambda: interface.set_up(endpoint, request.sysctls, finish))
        except BaseException as error:
            self._disconnect(sandbox, asked.id, name)
            if isinstance(error, OSError):
                raise errdefs.SystemFailure(
                    f"failed to create the {self._style.kind} port: {error.strerror}"
                ) from error
            raise

    def _adopt(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        try:
            netns.inside(sandbox.fd, lambda: socket.if_nametoindex(endpoint.interface))
            self._plugged.add(endpoint.id)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"endpoint {endpoint.name} has lost its interface {endpoint.interface}"
            ) from error
        finally:
            endpoints.hold_again(endpoint, self._leases)

    def _disconnect(self, sandbox: Sandbox, endpoint_id: str, name: str) -> None:
        self._leases.release(endpoint_id)
        if endpoint_id in self._plugged and sandbox.fd >= 0:
            with contextlib.suppress(OSError):  # it is gone already
                netns.inside(sandbox.fd, lambda: _delete(name))
        self._plugged.discard(endpoint_id)

    def _addressed(self, asked: Endpoint, request: EndpointRequest) -> Endpoint:
        options = self.info.options
        leads = bool(options.get(PARENT)) and not self.info.internal
        on_link = self._style.on_link(options)
        made = endpoints.addressed(asked, self._leases, request, by_gateway=leads and not on_link)
        mac = self._style.mac(options, asked.mac, made.ipv4 or made.ipv6)
        return msgspec.structs.replace(made, on_link=leads and on_link, mac=mac)

    def _plug(self, parent: int, fd: int, endpoint: Endpoint) -> None:
        """In its namespace from the start, down."""
        data = {"attrs": self._style.data(self.info.options)}
        info = {"attrs": [("IFLA_INFO_KIND", self._style.kind), ("IFLA_INFO_DATA", data)]}
        attrs: list[tuple[str, Any]] = [
            ("IFLA_IFNAME", endpoint.interface),
            ("IFLA_LINK", parent),
            ("IFLA_NET_NS_FD", fd),
            ("IFLA_LINKINFO", info),
        ]
        if endpoint.mac:
            attrs.append(("IFLA_ADDRESS", endpoint.mac))
        self._worker.rtnl.batch([(netlink.RTM_NEWLINK, netlink.CREATE, messages.link(attrs=attrs))])
        self._plugged.add(endpoint.id)


def _delete(name: str) -> None:
    with Rtnetlink() as rtnl:
        rtnl.batch([(netlink.RTM_DELLINK, 0, changes.link(changes.named(name)))])
