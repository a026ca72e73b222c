"""aiodocker and images: pulled, pushed, loaded, exported, tagged, pruned, with what is told decoded."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tests.integration.images.archives import Made, docker_archive, tar
from tests.integration.registry.conftest import LAYER
from tests.registries import PASSWORD, USER, DebianRegistry, digest_of

pytestmark = pytest.mark.root
Make = Callable[..., DebianRegistry]

ROOTFS = tar({"etc/hello": b"hello\n", "large": LAYER})
SAID: dict[str, Any] = {"rootfs": {"type": "layers", "diff_ids": [digest_of(ROOTFS)]}}
KNOWN = {"username": USER, "password": PASSWORD}


@pytest.fixture
def guarded(make_registry: Make) -> DebianRegistry:
    """A registry that asks for a password, with in/side:1."""
    registry = make_registry(htpasswd=True)
    registry.put_image("in/side", "1", [ROOTFS], **SAID)
    return registry


@pytest.fixture
async def client(aio: Docker) -> AsyncIterator[Docker]:
    """Only busybox is there after the test."""
    yield aio
    for image in await aio.images.list(all=True):
        for name in image["RepoTags"] or [image["Id"]]:
            if name != "busybox:latest":
                await aio.images.delete(name, force=True)


async def test_pull(client: Docker, guarded: DebianRegistry) -> None:
    name = f"{guarded.netloc}/in/side"
    with pytest.raises(DockerError, match="no basic auth credentials"):
        await client.images.pull(name, tag="1")
    lines = await client.images.pull(name, tag="1", auth=KNOWN)
    assert lines[0] == {"status": "Pulling from in/side", "id": "1"}
    assert lines[-1] == {"status": f"Status: Downloaded newer image for {name}:1"}
    again = [line async for line in client.images.pull(name, tag="1", auth=KNOWN, stream=True)]
    assert again[-1] == {"status": f"Status: Image is up to date for {name}:1"}
    assert (await client.images.inspect(f"{name}:1"))["RootFS"]["Layers"] == [digest_of(ROOTFS)]


async def test_push(client: Docker, guarded: DebianRegistry) -> None:
    name = f"{guarded.netloc}/new/one"
    await client.images.tag("busybox", name, tag="1")
    lines = await client.images.push(name, tag="1", auth=KNOWN)
    assert lines[0]["status"] == f"The push refers to repository [{name}]"
    assert [line["aux"]["Tag"] for line in lines if "aux" in line] == ["1"]
    deleted = await client.images.delete(f"{name}:1")
    assert deleted[0] == {"Untagged": f"{name}:1"}
    lines = await client.images.pull(name, tag="1", auth=KNOWN)
    assert "error" not in lines[-1]


async def test_archives(client: Docker) -> None:
    made = Made([ROOTFS], ["aio-loaded:1"])
    loaded = await client.images.import_image(docker_archive(made))
    assert {"stream": "Loaded image: aio-loaded:1\n"} in loaded
    async with client.images.export_image("aio-loaded:1") as stream:
        saved = await stream.read(-1)
    await client.images.delete("aio-loaded:1")
    await client.images.import_image(saved)
    assert (await client.images.inspect("aio-loaded:1"))["Id"] == made.id
    steps: Any = await client.images.history("aio-loaded:1")
    assert [step["CreatedBy"] for step in steps] == ["step 0"]


async def test_prune(client: Docker) -> None:
    bare = Made([ROOTFS], [], {"author": "aio"})
    await client.images.import_image(docker_archive(bare))
    listed = await client.images.list(filters={"dangling": ["true"]})
    assert [image["Id"] for image in listed] == [bare.id]
    pruned = await client.images.prune(filters={"dangling": ["true"]})
    assert pruned["ImagesDeleted"][0] == {"Deleted": bare.id}
    assert pruned["SpaceReclaimed"] >= len(LAYER)
    assert await client.images.prune_builds() == {"CachesDeleted": None, "SpaceReclaimed": 0}
