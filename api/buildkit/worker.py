"""The one worker, as clients see it: what it builds for, and by its labels what they may ask of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.buildkit.protos.common_pb2 import BuildkitVersion, Platform, WorkerRecord
from engine import version

BUILDKIT: Final = BuildkitVersion(
    package="github.com/moby/buildkit", version=f"v0.26.0-wherry.{version.WHERRY}", revision="wherry"
)
"""Clients compare it: what they ask of that version is what is served."""
_LABEL: Final = "org.mobyproject.buildkit.worker."


@dataclass(frozen=True, slots=True)
class Worker:
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


def _platform(text: str) -> Platform:
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return Platform(OS=system, Architecture=architecture, Variant=variant)
