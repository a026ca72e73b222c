"""From the domain of a name to the hosts that are asked, in order. Pure.

The registry itself comes last, mirrors before it. Whatever is reached without verification is so by the words of
the configuration, never by what DNS answers: a name that resolves to an insecure network stays verified.
"""

import enum
import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from engine.config.registries import split_insecure
from engine.veiled import Veiled

HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_CONNECT_TIMEOUT = 30.0
_NETLOC = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Capability(enum.Flag):
    """What a host is asked for: bytes by digest, names to digests, taking what is pushed."""

    PULL = enum.auto()
    RESOLVE = enum.auto()
    PUSH = enum.auto()


ALL = Capability.PULL | Capability.RESOLVE | Capability.PUSH


class Tls(msgspec.Struct, frozen=True):
    """How a host proves itself, and we to it: PEM files of authorities beside the system's, (certificate, key)."""

    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()
    verify: bool = True

    def without_clients(self) -> "Tls":
        """For another origin, which is to learn nothing of us."""
        return Tls(self.authorities, (), self.verify)


class Host(Veiled, frozen=True):
    """A host, by the URL under which its API is ("https://registry-1.docker.io/v2").

    `own` tells that it is the registry that the name names, to which its credentials may go. `headers` go to this
    host alone, and may be secret.
    """

    url: str
    tls: Tls = Tls()
    capabilities: Capability = ALL
    own: bool = False
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    connect_timeout: float = _CONNECT_TIMEOUT  # seconds
    namespace: str = ""  # the domain that a mirror of several is asked for

    @property
    def scheme(self) -> str:
        """ "http" or "https"."""
        return urlsplit(self.url).scheme

    @property
    def netloc(self) -> str:
        """The host with its port, if it names one."""
        return urlsplit(self.url).netloc


class Listed(Veiled, frozen=True):
    """A host of a hosts.toml; `url` is "" for the registry itself, `verify` None where nothing is said."""

    url: str
    authorities: tuple[Path, ...] = ()
    clients: tuple[tuple[Path, Path], ...] = ()
    verify: bool | None = None
    capabilities: Capability = ALL
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    connect_timeout: float = _CONNECT_TIMEOUT


class Directory(msgspec.Struct, frozen=True):
    """What `certs.d` has for a host: certificates, or a hosts.toml (`hosts` is None without one)."""

    tls: Tls = Tls()
    hosts: tuple[Listed, ...] | None = None


Directories = Callable[[str], Directory]


class Settings(Veiled, frozen=True, kw_only=True):
    """Registries that need no TLS (hosts and networks), mirrors of Docker Hub (URLs), and where `certs.d` is."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    certs_directories: tuple[Path, ...] = (Path("/etc/docker/certs.d"),)
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""


def is_netloc(text: str) -> bool:
    """Whether a text is a host with or without a port, and nothing else."""
    return _NETLOC.fullmatch(text) is not None and ".." not in text


def resolve(domain: str, settings: Settings, directories: Directories) -> tuple[Host, ...]:
    """The hosts for names of a domain (a host, with a port or not), in the order in which to ask them."""
    directory = directories(domain)
    if directory.hosts is None:
        return (*_mirrors(domain, settings, directories), *_itself(domain, settings, directory.tls))
    alone = len(directory.hosts) == 1
    found = _mirrors(domain, settings, directories) if alone else []
    for listed in directory.hosts:
        found += _of_listed(listed, domain, settings)
    return tuple(found)


def _mirrors(domain: str, settings: Settings, directories: Directories) -> list[Host]:
    """The mirrors of Docker Hub: without its credentials, and for reading alone."""
    if domain != HUB:
        return []
    found = []
    for mirror in settings.mirrors:
        netloc = urlsplit(mirror).netloc
        tls = directories(netloc).tls
        if is_insecure(netloc, settings, tls):
            tls = Tls(verify=False)
        found.append(Host(mirror.rstrip("/") + "/v2", tls, Capability.PULL | Capability.RESOLVE))
    return found


def _itself(domain: str, settings: Settings, tls: Tls) -> list[Host]:
    """The registry of a domain; one that is insecure is asked with TLS first, then without."""
    if domain == HUB:
        return [Host(f"https://{_HUB_HOST}/v2", tls, own=True)]
    if not is_insecure(domain, settings, tls):
        return [Host(f"https://{domain}/v2", tls, own=True)]
    unverified = Tls(verify=False)
    return [Host(f"{scheme}://{domain}/v2", unverified, own=True) for scheme in ("https", "http")]


def _of_listed(listed: Listed, domain: str, settings: Settings) -> list[Host]:
    tls = Tls(listed.authorities, listed.clients, listed.verify is not False)
    if not listed.url:
        bases = _itself(domain, settings, tls)
    else:
        own = urlsplit(listed.url).netloc in (domain, _HUB_HOST if domain == HUB else domain)
        bases = [Host(listed.url, tls, own=own)]
    return [
        Host(
            base.url,
            base.tls,
            listed.capabilities,
            own=base.own,
            headers=listed.headers,
            connect_timeout=listed.connect_timeout,
            namespace="" if base.own else domain,
        )
        for base in bases
    ]


def is_insecure(netloc: str, settings: Settings, tls: Tls) -> bool:
    """Whether a host is used without verification: it is configured so, or on this machine without an authority."""
    host = _hostname(netloc)
    networks, names = split_insecure(settings.insecure)
    if netloc in names or any(_within(host, network) for network in networks):
        return True
    return not tls.authorities and (host == "localhost" or _is_loopback(host))


def _hostname(netloc: str) -> str:
    host, colon, port = netloc.rpartition(":")
    return (host if colon and port.isdecimal() else netloc).strip("[]")


def _within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
