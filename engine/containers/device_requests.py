"""`HostConfig.DeviceRequests`: which CDI devices of this host are meant. Pure, but that `give` reads the specs."""

from collections.abc import Sequence
from typing import Any

import errdefs
from engine.containers.config import DeviceRequest
from runtime import cdi

_NVIDIA, _AMD = "nvidia.com", "amd.com"
_VENDORS = {"nvidia": _NVIDIA, "nvidia.cdi": _NVIDIA, "amd": _AMD}
_CAPABILITIES = {
    _NVIDIA: frozenset({"gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"}),
    _AMD: frozenset({"gpu", "amd"}),
}
_MOST = 1024  # of numbered devices: no host has more


def give(spec: dict[str, Any], requests: Sequence[DeviceRequest], directories: Sequence[str]) -> None:
    """Change config.json so that the container gets what is asked for. Blocks.

    InvalidArgument, in Docker's words, for what no driver knows and for devices that are not there.
    """
    registry = cdi.scan(directories)
    for request in requests:
        try:
            cdi.inject(spec, registry, names(request, registry.vendors, directories))
        except cdi.Unresolved as error:
            raise errdefs.InvalidArgument(f"CDI device injection failed: {error}") from error


def names(request: DeviceRequest, vendors: frozenset[str], directories: Sequence[str]) -> list[str]:
    """The full names of the CDI devices of a request, where devices of these vendors are known."""
    if request.driver == "cdi":
        return _of_cdi(request, directories)
    vendor = _vendor(request, vendors)
    if vendor is None:
        raise errdefs.InvalidArgument(_no_driver(request) + _hint(request, directories))
    return [one if "=" in one else f"{vendor}/gpu={one}" for one in _asked(request)]


def _of_cdi(request: DeviceRequest, directories: Sequence[str]) -> list[str]:
    if not directories:
        raise errdefs.InvalidArgument(_no_driver(request))
    if request.count:
        raise errdefs.InvalidArgument("unexpected count in CDI device request")
    if request.options:
        raise errdefs.InvalidArgument("unexpected options in CDI device request")
    return request.device_ids or []


def _vendor(request: DeviceRequest, vendors: frozenset[str]) -> str | None:
    """Whose devices are meant: the driver's, or else the first one's with the capabilities."""
    if request.driver:
        vendor = _VENDORS.get(request.driver)
        return vendor if vendor in vendors else None
    for vendor, capabilities in _CAPABILITIES.items():
        if vendor in vendors and any(capabilities.issuperset(every) for every in request.capabilities or ()):
            return vendor
    return None


def _asked(request: DeviceRequest) -> list[str]:
    if request.count and request.device_ids:
        raise errdefs.InvalidArgument("cannot set both Count and DeviceIDs on device request")
    if request.count > _MOST:
        raise errdefs.InvalidArgument(f"cannot give {request.count} devices: there are at most {_MOST}")
    if request.count < 0:
        return ["all"]
    return request.device_ids or [str(number) for number in range(request.count)]


def _no_driver(request: DeviceRequest) -> str:
    sets = " ".join(f"[{' '.join(every)}]" for every in request.capabilities or ())
    return f'could not select device driver "{request.driver}" with capabilities: [{sets}]'


def _hint(request: DeviceRequest, directories: Sequence[str]) -> str:
    """What would help, where somebody asks for a GPU."""
    words = {word for every in request.capabilities or () for word in every}
    known = frozenset().union(*_CAPABILITIES.values())
    if request.driver not in _VENDORS and (request.driver or not words & known):
        return ""
    return (
        f": there is no CDI spec of the GPU in {', '.join(directories) or 'cdi-spec-dirs, which are none'} "
        "(nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml makes one)"
    )
