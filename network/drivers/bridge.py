"""Networks behind a Linux bridge of the host; today the default one, with IPv4 alone."""

from __future__ import annotations

import contextlib
import errno
import re
import secrets
import socket
from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network
from typing import Final

import errdefs
from network import netlink, netns, resolvconf, sysctl
from network.drivers import bridge_device
from network.drivers.bridge_device import Device
from network.drivers.driver import NetworkInfo, Pool
from network.endpoint import INTERFACE, Endpoint, EndpointRequest, mac_of, new_id
from network.ipam.addresses import Addresses
from network.netlink import NetlinkError, Rtnetlink
from network.sandbox import Sandbox

_IFF_UP: Final = 1
_MTU: Final = "1500"
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME_TRIES: Final = 100
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
# A port that neither hears nor is heard. "Disabled" (0) alone is not enough: a late carrier event enables it again.
_SILENCED: Final = [
    ("IFLA_BRPORT_STATE", 0),
    ("IFLA_BRPORT_LEARNING", 0),
    ("IFLA_BRPORT_UNICAST_FLOOD", 0),
    ("IFLA_BRPORT_MCAST_FLOOD", 0),
    ("IFLA_BRPORT_BCAST_FLOOD", 0),
    ("IFLA_BRPORT_LOCKED", 1),
    ("IFLA_BRPORT_FLUSH", None),
]


class BridgeDriver:
    """One bridge; endpoints are veth pairs whose host ends are named `veth<instance><random>` (15 characters)."""

    def __init__(
        self, rtnl: Rtnetlink, device: Device, network_id: str, instance: str, created: datetime
    ) -> None:
        self._rtnl = rtnl
        self._device = device
        self._prefix = f"veth{instance}"
        self._ports: dict[str, str] = {}  # endpoint id -> name of the host's end
        self._taken: dict[str, str] = {}  # endpoint id -> its address
        self._retired: set[str] = set()
        subnet = device.address.network
        self.subnet: IPv4Network = subnet
        self._addresses = Addresses(subnet, device.address.ip, "bridge")
        self.info = NetworkInfo(
            name="bridge",
            id=network_id,
            driver="bridge",
            created=created,
            pools=(Pool(subnet=str(subnet), gateway=str(device.address.ip)),),
            bridge=device.name,
            options={
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.enable_icc": "true",
                "com.docker.network.bridge.enable_ip_masquerade": "true",
                "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
                "com.docker.network.bridge.name": device.name,
                "com.docker.network.driver.mtu": _MTU,
            },
        )

    def connect(self, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
        """A veth pair, its inner end `eth0` with address and default route; hairpin on its port of the bridge."""
        if request.mac is not None and not _MAC.fullmatch(request.mac):
            raise errdefs.InvalidArgument(f"invalid MAC address: {request.mac}")
        endpoint = self._endpoint(sandbox, request)
        try:
            name = self._make_pair(sandbox.fd, endpoint.mac)
            self._ports[endpoint.id] = name
            self._set_port(name, [("IFLA_BRPORT_MODE", 1)])
            netns.inside(sandbox.fd, lambda: _configure(endpoint))
        except BaseException as error:
            self._undo(endpoint)
            if isinstance(error, OSError):
                raise errdefs.SystemFailure(
                    f"cannot attach endpoint {endpoint.name} to bridge: {error.strerror}"
                ) from error
            raise
        return endpoint

    def adopt(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """Take the endpoint's address again and find its port of the bridge from inside."""
        self._ports[endpoint.id] = ""
        try:
            index = netns.inside(sandbox.fd, _outer_index)
            self._ports[endpoint.id] = socket.if_indextoname(index)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"endpoint {endpoint.name} has lost its interface: {error.strerror}"
            ) from error
        finally:
            self._take(endpoint.id, endpoint.ipv4)

    def disconnect(self, endpoint: Endpoint) -> None:
        """Silence the port of the bridge and free the address.

        The interface goes with its namespace, by the kernel; removing it here would take 15-30 ms under the rtnl lock.
        One that stays (another container shares the namespace) is removed by `sweep`.
        """
        self._free(endpoint)
        name = self._ports.pop(endpoint.id, "")
        if not name:
            return
        with contextlib.suppress(OSError):  # it has gone already
            self._set_port(name, _SILENCED)
        self._retired.add(name)

    def sweep(self) -> None:
        """Remove host ends of disconnected endpoints that the kernel has not removed yet."""
        for name in self._retired & {name for _, name in socket.if_nameindex()}:
            self._delete(name)
        self._retired.clear()

    def remove_strays(self) -> list[str]:
        """Remove and name this instance's interfaces that belong to no endpoint known."""
        known = set(self._ports.values())
        strays = [
            each for _, each in socket.if_nameindex() if each.startswith(self._prefix) and each not in known
        ]
        for name in strays:
            self._delete(name)
        return strays

    def dismantle(self) -> None:
        """Remove all endpoints' interfaces, and the bridge when this instance made it."""
        self._ports.clear()
        self.remove_strays()
        bridge_device.remove(self._rtnl, self._device)

    def _take(self, endpoint_id: str, wanted: str | None) -> str:
        address = self._addresses.take(wanted)
        self._taken[endpoint_id] = address
        return address

    def _free(self, endpoint: Endpoint) -> None:
        address = self._taken.pop(endpoint.id, None)
        if address is not None:
            self._addresses.free(address)

    def _endpoint(self, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
        endpoint_id = new_id()
        address = self._take(endpoint_id, request.ipv4)
        return Endpoint(
            id=endpoint_id,
            name=request.endpoint_name,
            container_id=request.container_id,
            sandbox_id=sandbox.id,
            network_id=self.info.id,
            network=self.info.name,
            ipv4=address,
            prefix_len=self.subnet.prefixlen,
            gateway=self.info.gateway,
            mac=request.mac or mac_of(address),
            dns=tuple(resolvconf.parse(resolvconf.read_host()[0]).nameservers),
        )

    def _make_pair(self, fd: int, mac: str) -> str:
        """Both ends in one message, the inner one in its namespace from the start; its name is not to be up yet."""
        peer = netlink.link(attrs=[("IFLA_IFNAME", INTERFACE), ("IFLA_ADDRESS", mac), ("IFLA_NET_NS_FD", fd)])
        data = {"attrs": [("VETH_INFO_PEER", peer)]}
        info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
        for _ in range(_NAME_TRIES):
            name = self._prefix + "".join(secrets.choice(_ALPHABET) for _ in range(15 - len(self._prefix)))
            attrs = [("IFLA_IFNAME", name), ("IFLA_MASTER", self._device.index), ("IFLA_LINKINFO", info)]
            message = netlink.link(flags=_IFF_UP, change=_IFF_UP, attrs=attrs)
            try:
                self._rtnl.batch([(netlink.RTM_NEWLINK, netlink.CREATE, message)])
            except NetlinkError as error:
                if error.errno != errno.EEXIST or name not in {each for _, each in socket.if_nameindex()}:
                    raise
            else:
                return name
        raise errdefs.SystemFailure("no free name for a veth interface")

    def _set_port(self, name: str, attrs: Sequence[tuple[str, int | None]]) -> None:
        """By the bridge family: as slave data of the link, the kernel would enable a disabled port again at once."""
        info = ("IFLA_PROTINFO", {"attrs": attrs}, netlink.NLA_F_NESTED)
        message = netlink.link(socket.if_nametoindex(name), family=socket.AF_BRIDGE, attrs=[info])
        self._rtnl.batch([(netlink.RTM_SETLINK, 0, message)])

    def _undo(self, endpoint: Endpoint) -> None:
        name = self._ports.pop(endpoint.id, None)
        if name is not None:
            self._delete(name)
        self._free(endpoint)

    def _delete(self, name: str) -> None:
        with contextlib.suppress(NetlinkError):  # the kernel was faster
            self._rtnl.batch([(netlink.RTM_DELLINK, 0, netlink.link(attrs=[("IFLA_IFNAME", name)]))])


def _configure(endpoint: Endpoint) -> None:
    """Inside the sandbox: no IPv6 on the interface, then up, address and route in one write."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        sysctl.write(f"ipv6/conf/{INTERFACE}/disable_ipv6", "1")
    index = socket.if_nametoindex(INTERFACE)
    broadcast = str(IPv4Network(f"{endpoint.ipv4}/{endpoint.prefix_len}", strict=False).broadcast_address)
    own = netlink.address(index, endpoint.ipv4, endpoint.prefix_len, broadcast=broadcast)
    with Rtnetlink() as rtnl:
        rtnl.batch(
            [
                (netlink.RTM_SETLINK, 0, netlink.link(index, flags=_IFF_UP, change=_IFF_UP)),
                (netlink.RTM_NEWADDR, netlink.CREATE, own),
                (netlink.RTM_NEWROUTE, netlink.CREATE, netlink.default_route(index, endpoint.gateway)),
            ]
        )


def _outer_index() -> int:
    """Inside the sandbox: the index, in the host, of the other end of its interface."""
    with Rtnetlink() as rtnl:
        found = rtnl.get(netlink.RTM_GETLINK, netlink.link(attrs=[("IFLA_IFNAME", INTERFACE)]))
    index: int = found.get_attr("IFLA_LINK")
    return index
