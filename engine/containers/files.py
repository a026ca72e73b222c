"""The container's own files: hostname, hosts, resolv.conf, and where its log is."""

import asyncio
import os
from pathlib import Path

import errdefs
from engine.containers import log_attributes, networking
from engine.containers.container import Container
from engine.containers.log_options import LogOptions
from engine.containers.machinery import Machinery
from engine.containers.networking import Plugged
from engine.containers.store import ContainerStore
from network import hosts, resolvconf
from runtime.task_values import LogFile

NAMES = ("hostname", "hosts", "resolv.conf")
HOST_GATEWAY = "host-gateway"
MAX_ATTRIBUTES = 1 << 16  # bytes as JSON: every record has them


async def write(
    container: Container, plugged: Plugged, machinery: Machinery, store: ContainerStore
) -> dict[str, str]:
    """Write the files for this start and return them by their path in the container.

    They are rewritten in place: the inode is what is bound into the container.
    """
    if networking.mode_of(container).startswith(networking.SHARED):
        directory = machinery.files(networking.other_of(container, store).id)
    else:
        directory = machinery.files(container.id)
        await asyncio.to_thread(_write, directory, container, plugged, machinery)
    return {f"/etc/{name}": str(directory / name) for name in NAMES}


def _write(directory: Path, container: Container, plugged: Plugged, machinery: Machinery) -> None:
    on_host = networking.mode_of(container) == "host"
    hostname = os.uname().nodename if on_host else container.config.hostname
    extra = _extra_hosts(container, machinery)
    addresses = [endpoint.ipv4 for endpoint in plugged.endpoints.values() if endpoint.ipv4]
    text = hosts.build(hostname, container.config.domainname, addresses, extra)
    if on_host and not extra:
        text = _host_hosts()
    _put(directory / "hostname", f"{hostname}\n".encode())
    _put(directory / "hosts", text)
    _put(directory / "resolv.conf", _resolv_conf(container, machinery, on_host=on_host))


def _resolv_conf(container: Container, machinery: Machinery, *, on_host: bool) -> bytes:
    host, config = container.host_config, machinery.config
    text, path = resolvconf.read_host()
    return resolvconf.build(
        text,
        host.dns or config.dns,
        host.dns_options or config.dns_opts,
        host.dns_search or config.dns_search,
        path=path,
        host_network=on_host,
    )


def _extra_hosts(container: Container, machinery: Machinery) -> list[tuple[str, str]]:
    """(name, address) of each --add-host; "host-gateway" is the host's on the default bridge, wherever the
    container is.
    """
    gateway = _host_gateway(machinery)
    pairs = []
    for entry in container.host_config.extra_hosts or ():
        name, _, address = entry.partition(":")
        pairs.append((name, gateway if address == HOST_GATEWAY else address.strip(" []")))
    return pairs


def _host_gateway(machinery: Machinery) -> str:
    """The host's address on the default bridge."""
    return next(info.gateway for info in machinery.network.networks() if info.name == "bridge")


def _host_hosts() -> bytes:
    try:
        return Path("/etc/hosts").read_bytes()[: 1 << 20]
    except OSError:
        return b""


def _put(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def log_file(container: Container) -> LogFile | None:
    """Where and how the output is kept; None for the driver "none"."""
    if container.host_config.log_config.type == "none":
        return None
    options = LogOptions.parse(container.host_config.log_config)
    attributes = log_attributes.attributes(container, container.host_config.log_config.config or {})
    attrs = log_attributes.encode(attributes)
    if len(attrs) > MAX_ATTRIBUTES:
        raise errdefs.InvalidArgument(
            f"labels, variables and tag of a log record are at most {MAX_ATTRIBUTES} bytes: these are {len(attrs)}"
        )
    return LogFile(
        path=Path(container.log_path),
        max_size=options.max_size,
        max_files=options.max_files,
        attrs=attrs,
    )
