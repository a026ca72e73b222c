"""The one worker, as clients see it: what it builds for, and by its labels what they may ask of it."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from api.buildkit.protos.common_pb2 import BuildkitVersion, Platform, WorkerRecord
from engine import version
from engine.images import platforms
from engine.system.nouns import Info
from network.drivers.driver import NetworkInfo

BUILDKIT: Final = BuildkitVersion(
    package="github.com/moby/buildkit", version=f"v0.26.0-wherry.{version.WHERRY}", revision="wherry"
)
"""Clients compare it: what they ask of that version is what is served."""
_BRIDGE: Final = "bridge"
_LABEL: Final = "org.mobyproject.buildkit.worker."


class System(Protocol):
    """What is needed of the engine."""

    async def info(self) -> Struct:
        """`/info`: its id and the host's name are of it."""


class Networks(Protocol):
    """What is needed of networks."""

    def all(self) -> list[NetworkInfo]:
        """All of them."""


class Worker(msgspec.Struct, frozen=True):
    """`id` is the engine's, `gateway` the address that host-gateway stands for ("" for none)."""

    id: str
    hostname: str
    gateway: str
    platforms: Sequence[str]

    def record(self) -> WorkerRecord:
        """As it is listed."""
        labels = {
            f"{_LABEL}executor": "oci",
            f"{_LABEL}hostname": self.hostname,
            f"{_LABEL}network": "host",
            f"{_LABEL}oci.process-mode": "sandbox",
            f"{_LABEL}snapshotter": "overlayfs",  # by it clients know that they may export, push and cache anywhere
            f"{_LABEL}moby.host-gateway-ip": self.gateway,
        }
        return WorkerRecord(
            ID=self.id,
            Labels={key: value for key, value in labels.items() if value},
            platforms=[_platform(text) for text in self.platforms],
            BuildkitVersion=BUILDKIT,
        )


class Describer:
    """Tells of the worker as it is now; `gateways` are what host-gateway stands for, none for the default bridge's.

    Who the engine is, is asked for once: `/info` looks at much more, and a build asks for its worker many times.
    """

    def __init__(self, system: System, networks: Networks, gateways: Sequence[str]) -> None:
        self._system = system
        self._networks = networks
        self._gateways = gateways
        self._who: Info | None = None

    async def __call__(self) -> Worker:
        """The worker."""
        if self._who is None:
            info = await self._system.info()
            assert isinstance(info, Info)
            self._who = info
        bridges = [network for network in self._networks.all() if network.name == _BRIDGE]
        pools = [pool for network in bridges for pool in network.pools]
        found = [*self._gateways, *(pool.gateway for pool in pools if pool.gateway)]
        return Worker(
            id=self._who.id,
            hostname=self._who.name,
            gateway=found[0] if found else "",
            platforms=[platforms.render(platforms.host())],
        )


def _platform(text: str) -> Platform:
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return Platform(OS=system, Architecture=architecture, Variant=variant)
