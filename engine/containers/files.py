"""The container's own files: hostname, hosts, resolv.conf, and where its log is."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from engine.containers import linked, networking
from engine.containers.container import Container
from engine.containers.linked import Neighbour
from engine.containers.links import Link
from engine.containers.machinery import Machinery
from engine.containers.network_mode import PREDEFINED, SHARED, mode_of
from engine.containers.store import ContainerStore
from network import hosts, resolvconf
from network.endpoint import Endpoint

_log = logging.getLogger(__name__)
NAMES = ("hostname", "hosts", "resolv.conf")
HOST_GATEWAY = "host-gateway"
_NO_IPV6 = "net.ipv6.conf.all.disable_ipv6"
_MAX_RESOLV_CONF = 1 << 20  # bytes


def write(
    directory: Path, container: Container, neighbours: Iterable[Neighbour], machinery: Machinery
) -> None:
    """Write the files for this start, where they are the container's own. Blocks.

    They are rewritten in place: the inode is what is bound into the container.
    """
    if not mode_of(container).startswith(SHARED):
        _write(directory, container, neighbours, machinery)


def of_directory(directory: Path) -> dict[str, str]:
    """The files by their path in the container."""
    return {f"/etc/{name}": str(directory / name) for name in NAMES}


def directory_of(container: Container, machinery: Machinery, store: ContainerStore) -> Path:
    """Where they are: with the container whose network it shares, if it does; Conflict if that does not run."""
    if mode_of(container).startswith(SHARED):
        return machinery.files(networking.other_of(container, store).id)
    return machinery.files(container.id)


def _write(
    directory: Path, container: Container, neighbours: Iterable[Neighbour], machinery: Machinery
) -> None:
    on_host = mode_of(container) == "host"
    hostname = os.uname().nodename if on_host else container.config.hostname
    extra = _extra_hosts(container, machinery)
    others = [pair for neighbour in neighbours for pair in neighbour.hosts]
    own = [address for endpoint in container.endpoints.values() for address in _addresses(endpoint)]
    ipv6 = (container.host_config.sysctls or {}).get(_NO_IPV6) != "1"
    text = hosts.build(hostname, container.config.domainname, own, [*extra, *others], ipv6=ipv6)
    if on_host and not extra:
        text = _host_hosts()
    _put(directory / "hostname", f"{hostname}\n".encode())
    _put(directory / "hosts", text)
    _put_resolv_conf(directory, _resolv_conf(container, machinery))
    if container.identity.remapped:
        for name in NAMES:
            os.chown(directory / name, *container.identity.root, follow_symlinks=False)


async def came(container: Container, endpoint: Endpoint, machinery: Machinery) -> None:
    """A running container came to a network: its hosts file tells its addresses there.

    With its first network of the user's comes the embedded DNS.
    """
    config, addresses = container.config, _addresses(endpoint)
    names = hosts.names_of(config.hostname, config.domainname)
    await _edit_hosts(container, lambda text: hosts.added(text, names, addresses), machinery)
    if endpoint.network not in PREDEFINED:
        await _edit(container, partial(_renew_resolv_conf, container, machinery))


async def left(container: Container, endpoint: Endpoint, machinery: Machinery) -> None:
    """A running container left a network: its hosts file forgets its addresses there."""
    addresses = _addresses(endpoint)
    await _edit_hosts(container, lambda text: hosts.removed(text, addresses), machinery)


async def settle_hosts(container: Container, machinery: Machinery) -> None:
    """A connect or disconnect was cut short: the hosts file tells the addresses of the endpoints that there are."""
    config = container.config
    names = hosts.names_of(config.hostname, config.domainname)
    own = [address for endpoint in container.endpoints.values() for address in _addresses(endpoint)]

    def edit(text: bytes) -> bytes:
        told = [
            line.split()[0].decode() for line in text.splitlines() if line.endswith(f"\t{names}".encode())
        ]
        text = hosts.removed(text, set(told) - set(own))
        return hosts.added(text, names, [address for address in own if address not in told])

    await _edit_hosts(container, edit, machinery)


async def tell_parents(container: Container, machinery: Machinery, store: ContainerStore) -> None:
    """Containers with a link to one that came to the default bridge learn its new addresses."""
    endpoint = container.endpoints.get(linked.BRIDGE)
    if endpoint is not None:
        for parent, link in linked.parents(container, store):
            await _edit_hosts(parent, partial(link.at, endpoint.ipv4, endpoint.ipv6), machinery)


async def unlinked(container: Container, link: Link, machinery: Machinery) -> None:
    """A running container lost a link: its hosts file forgets the other."""
    await _edit_hosts(container, partial(link.at, "", ""), machinery)


async def _edit_hosts(container: Container, edit: Callable[[bytes], bytes], machinery: Machinery) -> None:
    """The container's own changes stay."""
    await _edit(container, partial(hosts.rewrite, machinery.files(container.id) / "hosts", edit))


async def _edit(container: Container, work: Callable[[], None]) -> None:
    """A file that cannot be changed, which the container may see to, is warned of and hinders nothing."""
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        _log.warning(
            "container %s: %s is not up to date: %s", container.id[:12], error.filename, error.strerror
        )


def _addresses(endpoint: Endpoint) -> list[str]:
    return [address for address in (endpoint.ipv4, endpoint.ipv6) if address]


def _resolv_conf(container: Container, machinery: Machinery) -> bytes:
    host, config = container.host_config, machinery.config
    text, path = resolvconf.read_host()
    asked = (
        host.dns or config.dns,
        host.dns_options or config.dns_opts,
        host.dns_search or config.dns_search,
    )
    ipv6 = any(endpoint.ipv6 for endpoint in container.endpoints.values())
    if any(network not in PREDEFINED for network in container.endpoints):
        return resolvconf.build_embedded(text, *asked, path=path, ipv6=ipv6)
    on_host = mode_of(container) == "host"
    return resolvconf.build(text, *asked, path=path, host_network=on_host, ipv6=ipv6)


def _renew_resolv_conf(container: Container, machinery: Machinery) -> None:
    """As its header says: not once the container has changed it."""
    directory = machinery.files(container.id)
    with (directory / "resolv.conf").open("rb") as file:
        now = _digest(file.read(_MAX_RESOLV_CONF))
    if now == (directory / "resolv.conf.hash").read_bytes():
        _put_resolv_conf(directory, _resolv_conf(container, machinery))


def _put_resolv_conf(directory: Path, content: bytes) -> None:
    _put(directory / "resolv.conf", content)
    _put(directory / "resolv.conf.hash", _digest(content))


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _extra_hosts(container: Container, machinery: Machinery) -> list[tuple[str, str]]:
    """(name, address) of each --add-host; "host-gateway" is the host's addresses on the default bridge, wherever the
    container is.
    """
    pairs = []
    for entry in container.host_config.extra_hosts or ():
        name, _, address = entry.partition(":")
        if address == HOST_GATEWAY:
            pairs += [(name, gateway) for gateway in _host_gateways(machinery)]
        else:
            pairs.append((name, address.strip(" []")))
    return pairs


def _host_gateways(machinery: Machinery) -> list[str]:
    """Those of the configuration, else the host's addresses on the default bridge: IPv4, and IPv6 where it has that."""
    if machinery.config.host_gateway_ips:
        return list(machinery.config.host_gateway_ips)
    bridge = next(info for info in machinery.network.networks() if info.name == linked.BRIDGE)
    return [pool.gateway for pool in bridge.pools if pool.gateway]


def _host_hosts() -> bytes:
    try:
        return Path("/etc/hosts").read_bytes()[: 1 << 20]
    except OSError:
        return b""


def _put(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
