"""Sysctls of an endpoint's interface: an option of the endpoint, written before the interface has a name."""

import re
from collections.abc import Iterable

from engine.containers.config import EndpointConfig

OPTION = "com.docker.network.endpoint.sysctls"
PLACEHOLDER = "IFNAME"
# The CLI makes the names of driver options small letters.
_SETTING = re.compile(r"(net\.(?:ipv4|ipv6|mpls)\.[^.=]+)\.(?:IFNAME|ifname)\.([^=]+)=(.*)", re.DOTALL)


def faults(endpoint: EndpointConfig) -> list[str]:
    """What is wrong with an endpoint's sysctls, in Docker's words."""
    return [
        f"unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as "
        f"'net.X.Y.{PLACEHOLDER}.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
        for text in _texts(endpoint)
        if not _SETTING.fullmatch(text)
    ]


def settings(endpoint: EndpointConfig) -> dict[str, str]:
    """The sysctls by name, with IFNAME for the interface's."""
    found = [match for text in _texts(endpoint) if (match := _SETTING.fullmatch(text))]
    return {f"{match[1]}.{PLACEHOLDER}.{match[2]}": match[3] for match in found}


def _texts(endpoint: EndpointConfig) -> Iterable[str]:
    options = endpoint.driver_opts or {}
    return options[OPTION].split(",") if OPTION in options else ()
