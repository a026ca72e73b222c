"""The body of an update request, and what each API version means by it."""

import msgspec

import errdefs
from api import gojson
from api.versions import Version
from engine.containers.config import HostConfig, RestartPolicy, ThrottleDevice, WeightDevice
from engine.containers.update import BLOCK_LISTS
from engine.wire import Noun

_UINT16 = range(2**16)
_UINT64 = range(2**64)


class UpdateConfig(Noun):
    """The resources and the restart policy of a container; other fields of its configuration are not changed."""

    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = None
    blkio_device_write_iops: list[ThrottleDevice] | None = None
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    cpu_percent: int = 0
    io_maximum_iops: int = msgspec.field(default=0, name="IOMaximumIOps")
    io_maximum_bandwidth: int = 0


def parse(body: bytes, version: Version) -> HostConfig:
    """Read a body as this version means it; an empty one asks for nothing. InvalidArgument with Docker's texts."""
    sent = gojson.decode(body, UpdateConfig) if body else UpdateConfig()
    _check_ranges(sent)
    if sent.io_maximum_iops or sent.io_maximum_bandwidth:
        raise errdefs.InvalidArgument(
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps"
        )
    asked = HostConfig(**{name: getattr(sent, name) for name in UpdateConfig.__struct_fields__})
    if version.before("1.40"):
        asked.pids_limit = None
    if version.before("1.55"):
        for name in BLOCK_LISTS:
            setattr(asked, name, None)
    if asked.pids_limit is not None and asked.pids_limit <= 0:
        asked.pids_limit = 0  # unlimited; null is: leave it
    return asked


def _check_ranges(sent: UpdateConfig) -> None:
    """Numbers that Go holds without sign."""
    numbers = [("BlkioWeight", sent.blkio_weight, _UINT16, "uint16")]
    numbers += [
        ("BlkioWeightDevice.Weight", each.weight, _UINT16, "uint16")
        for each in sent.blkio_weight_device or ()
    ]
    for name in BLOCK_LISTS[1:]:
        numbers += [("BlkioDevice.Rate", each.rate, _UINT64, "uint64") for each in getattr(sent, name) or ()]
    for field, number, allowed, kind in numbers:
        if number not in allowed:
            raise errdefs.InvalidArgument(
                f"invalid JSON: json: cannot unmarshal number {number} into Go struct field "
                f"UpdateConfig.{field} of type {kind}"
            )
