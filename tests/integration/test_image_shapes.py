"""Lists, inspect and history of images at every version; tests/wire compares them with the definition."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar

pytestmark = pytest.mark.root

VERSIONS = [f"1.{minor}" for minor in range(24, 56)]
LAYERS = [tar({"etc/hello": b"hello\n" * 3000}), tar({"etc/more": b"more\n"})]
SHARED = 18_000  # of the layer that both have, in the bytes of its files
FULL = Made(
    LAYERS,
    ["shape-full:1", "shape-full:2"],
    {
        "author": "me",
        "comment": "made",
        "docker_version": "1.2",
        "container": "c" * 64,
        "variant": "v8",
        "architecture": "arm64",
        "os.version": "1",
        "config": {
            "Cmd": ["x"],
            "Env": ["A=b"],
            "Labels": {"shape": "1"},
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/v": {}},
            "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1_000_000_000},
            "OnBuild": ["RUN x"],
            "StopSignal": "SIGINT",
            "Shell": ["sh"],
        },
    },
)
BARE = Made(LAYERS[:1], [], {"created": None, "history": None, "config": {"Labels": {"shape": "2"}}})


@pytest.fixture(scope="module", autouse=True)
def _images(wherryd: Wherryd) -> Iterator[None]:
    """An image that has all that there is, and one that has next to nothing."""
    for made in (FULL, BARE):
        wherryd.call("POST", "/images/load?quiet=1", docker_archive(made))
    yield
    for made in (FULL, BARE):
        wherryd.call("DELETE", f"/images/{made.id}?force=1")


def _number(version: str) -> int:
    return int(version.partition(".")[2])


def _lists(wherryd: Wherryd, version: str) -> None:
    filters = quote(json.dumps({"label": ["shape"]}))
    path = f"/v{version}/images/json?all=1&digests=1&shared-size=1&manifests=1&filters={filters}"
    listed: list[dict[str, Any]] = wherryd.get(path).json
    by_id = {image["Id"]: image for image in listed}
    assert set(by_id) == {FULL.id, BARE.id}
    full, bare = by_id[FULL.id], by_id[BARE.id]
    number = _number(version)
    assert full["RepoTags"] == ["shape-full:1", "shape-full:2"]
    assert bare["RepoTags"] == (["<none>:<none>"] if number < 43 else [])
    assert bare["RepoDigests"] == (["<none>@<none>"] if number < 43 else [])
    assert full["SharedSize"] == (SHARED if number >= 42 else -1)
    assert ("VirtualSize" in full) is (number < 44)
    assert full["Containers"] == (-1 if number < 51 else 0)
    assert ("Descriptor" in full) is (number >= 48)
    assert ("Manifests" in full) is (number >= 47)
    if number >= 47:
        (manifest,) = full["Manifests"]
        assert (manifest["Kind"], manifest["Available"]) == ("image", True)
        assert manifest["ImageData"]["Platform"] == {
            "architecture": "arm64",
            "os": "linux",
            "variant": "v8",
        }


def _inspect(wherryd: Wherryd, version: str) -> None:
    full = wherryd.get(f"/v{version}/images/shape-full:1/json").json
    bare = wherryd.get(f"/v{version}/images/{BARE.id}/json").json
    number = _number(version)
    for image in (full, bare):
        assert ("VirtualSize" in image) is (number < 44)
        assert ("ContainerConfig" in image) is (number < 45)
        assert ("Descriptor" in image) is (number >= 48)
        assert ("Hostname" in image["Config"]) is (number < 50)
        assert ("GraphDriver" in image) is (number < 52)
        assert ("Identity" not in image) or number >= 53
    assert bare.get("Created") == ("0001-01-01T00:00:00Z" if number < 44 else None)
    assert ("Author" in bare) is (number < 52)
    assert (full["Author"], full["Comment"], full["Variant"]) == ("me", "made", "v8")
    assert full["Config"]["Healthcheck"]["Interval"] == 1_000_000_000


def _history(wherryd: Wherryd, version: str) -> None:
    steps = wherryd.get(f"/v{version}/images/shape-full:1/history").json
    assert [step["CreatedBy"] for step in steps] == ["step 1", "step 0"]
    assert steps[0]["Tags"] == ["shape-full:1", "shape-full:2"]
    assert wherryd.get(f"/v{version}/images/{BARE.id}/history").status == 200


@pytest.mark.parametrize("look", [_lists, _inspect, _history])
def test_every_version(wherryd: Wherryd, look: Callable[[Wherryd, str], None]) -> None:
    for version in VERSIONS:
        look(wherryd, version)
