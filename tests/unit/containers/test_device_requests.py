"""Which CDI devices a device request means, by its driver, its capabilities and what there is."""

import pytest

import errdefs
from engine.containers.config import DeviceRequest
from engine.containers.device_requests import names

DIRS = ("/etc/cdi",)
NVIDIA, AMD, BOTH = frozenset({"nvidia.com"}), frozenset({"amd.com"}), frozenset({"nvidia.com", "amd.com"})
GPU = [["gpu"]]


@pytest.mark.parametrize(
    ("request_", "vendors", "found"),
    [
        (DeviceRequest(driver="cdi", device_ids=["v.com/c=x"]), frozenset(), ["v.com/c=x"]),
        (DeviceRequest(driver="cdi"), frozenset(), []),
        (DeviceRequest(count=-1, capabilities=GPU), NVIDIA, ["nvidia.com/gpu=all"]),
        (DeviceRequest(count=2, capabilities=GPU), NVIDIA, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
        (DeviceRequest(count=1, capabilities=GPU), AMD, ["amd.com/gpu=0"]),
        (DeviceRequest(count=1, capabilities=GPU), BOTH, ["nvidia.com/gpu=0"]),
        (DeviceRequest(count=1, capabilities=[["x"], ["gpu", "utility"]]), BOTH, ["nvidia.com/gpu=0"]),
        (DeviceRequest(count=1, capabilities=[["gpu", "amd"]]), BOTH, ["amd.com/gpu=0"]),
        (DeviceRequest(driver="nvidia", device_ids=["1", "v.com/x=2"]), NVIDIA, ["nvidia.com/gpu=1", "v.com/x=2"]),
        (DeviceRequest(driver="nvidia.cdi", count=1), NVIDIA, ["nvidia.com/gpu=0"]),
        (DeviceRequest(driver="nvidia"), NVIDIA, []),
    ],
)  # fmt: skip
def test_what_is_meant(request_: DeviceRequest, vendors: frozenset[str], found: list[str]) -> None:
    assert names(request_, vendors, DIRS) == found


HINT = ": there is no CDI spec of the GPU in /etc/cdi (nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml makes one)"


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (DeviceRequest(capabilities=GPU), f'could not select device driver "" with capabilities: [[gpu]]{HINT}'),
        (DeviceRequest(driver="nvidia"), f'could not select device driver "nvidia" with capabilities: []{HINT}'),
        (
            DeviceRequest(driver="tpu", capabilities=[["a", "b"], ["c"]]),
            'could not select device driver "tpu" with capabilities: [[a b] [c]]',
        ),
        (DeviceRequest(capabilities=[["tpu"]]), 'could not select device driver "" with capabilities: [[tpu]]'),
        (DeviceRequest(driver="cdi", count=1), "unexpected count in CDI device request"),
        (DeviceRequest(driver="cdi", options={"a": "b"}), "unexpected options in CDI device request"),
    ],
)  # fmt: skip
def test_what_cannot_be(request_: DeviceRequest, text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refused:
        names(request_, frozenset(), DIRS)
    assert refused.value.message == text


def test_count_and_names_at_once() -> None:
    with pytest.raises(
        errdefs.InvalidArgument, match="cannot set both Count and DeviceIDs on device request"
    ):
        names(DeviceRequest(driver="nvidia", count=1, device_ids=["0"]), NVIDIA, DIRS)
    with pytest.raises(errdefs.InvalidArgument, match="at most 1024"):
        names(DeviceRequest(driver="nvidia", count=1 << 40), NVIDIA, DIRS)


def test_without_directories_there_is_no_cdi() -> None:
    with pytest.raises(errdefs.InvalidArgument, match='could not select device driver "cdi"'):
        names(DeviceRequest(driver="cdi", device_ids=["v.com/c=x"]), frozenset(), ())
