"""docker-py and images: from registries and to them, archives, names, removals, what is told on the way."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient as Client
from docker import errors

from tests.integration.images.archives import Made, docker_archive, tar
from tests.integration.registry.conftest import LAYER
from tests.registries import PASSWORD, USER, DebianRegistry, digest_of

pytestmark = pytest.mark.root
Make = Callable[..., DebianRegistry]

ROOTFS = tar({"etc/hello": b"hello\n", "large": LAYER})
SAID: dict[str, Any] = {
    "rootfs": {"type": "layers", "diff_ids": [digest_of(ROOTFS)]},
    "config": {"Cmd": ["x"], "Labels": {"py": "yes"}},
}


@pytest.fixture
def guarded(make_registry: Make) -> DebianRegistry:
    """A registry that asks for a password, with in/side:1 and in/side:2."""
    registry = make_registry(htpasswd=True)
    registry.put_image("in/side", "1", [ROOTFS], **SAID)
    registry.put_image("in/side", "2", [ROOTFS], **SAID)
    return registry


@pytest.fixture
def client(docker_py: Client) -> Iterator[Client]:
    """Only busybox is there after the test."""
    yield docker_py
    for image in docker_py.images.list(all=True):
        for name in image.tags or [image.id]:
            if name != "busybox:latest":
                docker_py.images.remove(name, force=True)


KNOWN = {"username": USER, "password": PASSWORD}


def test_pull(client: Client, guarded: DebianRegistry) -> None:
    name = f"{guarded.netloc}/in/side"
    with pytest.raises(errors.APIError, match="no basic auth credentials"):
        client.images.pull(name, tag="1")
    image = client.images.pull(name, tag="1", auth_config=KNOWN)
    assert (image.tags, image.labels) == ([f"{name}:1"], {"py": "yes"})
    every = client.images.pull(name, all_tags=True, auth_config=KNOWN)
    assert sorted(tag for each in every for tag in each.tags) == [f"{name}:1", f"{name}:2"]
    (digest,) = image.attrs["RepoDigests"]
    assert client.images.pull(digest, auth_config=KNOWN).id == image.id
    with pytest.raises(errors.NotFound, match=r"manifest for .* not found"):
        client.images.pull(name, tag="nope", auth_config=KNOWN)


def test_what_a_pull_tells(client: Client, guarded: DebianRegistry) -> None:
    name = f"{guarded.netloc}/in/side"
    lines = list(client.api.pull(name, tag="1", auth_config=KNOWN, stream=True, decode=True))
    assert lines[0] == {"status": "Pulling from in/side", "id": "1"}
    assert lines[-1] == {"status": f"Status: Downloaded newer image for {name}:1"}
    done = [line for line in lines if line["status"] == "Pull complete"]
    assert [set(line) for line in done] == [{"id", "status", "progressDetail"}]


def test_push(client: Client, guarded: DebianRegistry) -> None:
    name = f"{guarded.netloc}/new/one"
    image = client.images.get("busybox")
    assert image.tag(name, tag="1")
    told = list(client.api.push(name, tag="1", auth_config=KNOWN, stream=True, decode=True))
    assert told[0]["status"] == f"The push refers to repository [{name}]"
    assert {line["status"] for line in told if "id" in line} >= {"Preparing", "Pushed"}
    (aux,) = [line["aux"] for line in told if "aux" in line]
    assert aux["Tag"] == "1"
    data = client.images.get_registry_data(f"{name}:1", auth_config=KNOWN)
    assert data.id == aux["Digest"]
    client.images.remove(f"{name}:1")
    assert client.images.pull(name, tag="1", auth_config=KNOWN).id == image.id
    failed = list(
        client.api.push(name, tag="1", auth_config={**KNOWN, "password": "no"}, stream=True, decode=True)
    )
    assert "error" in failed[-1]


def test_login(client: Client, guarded: DebianRegistry) -> None:
    assert client.login(**KNOWN, registry=guarded.netloc, reauth=True)["Status"] == "Login Succeeded"
    with pytest.raises(errors.APIError, match="401 Unauthorized"):
        client.login(USER, "wrong", registry=guarded.netloc, reauth=True)
    image = client.images.pull(f"{guarded.netloc}/in/side", tag="1")
    assert image.labels == {"py": "yes"}
    registry = client.images.get_registry_data(f"{guarded.netloc}/in/side:1")
    assert registry.pull().id == image.id


@pytest.mark.parametrize(
    ("named", "tags"), [(False, []), (True, ["py-loaded:1"]), ("py-loaded:2", ["py-loaded:2"])]
)
def test_load_and_save(client: Client, named: bool | str, tags: list[str]) -> None:
    made = Made([ROOTFS], ["py-loaded:1", "py-loaded:2"])
    image, same = client.images.load(docker_archive(made))
    assert image.id == same.id == made.id
    saved = b"".join(image.save(named=named))
    client.images.remove(image.id, force=True)
    (image,) = client.images.load(saved)
    assert (image.id, image.tags) == (made.id, tags)


def test_what_a_load_tells(client: Client) -> None:
    told = list(client.api.load_image(docker_archive(Made([ROOTFS], ["py-loaded:1"])), quiet=False))
    assert told[0]["status"] == "Loading layer"
    assert told[-1] == {"stream": "Loaded image: py-loaded:1\n"}
    with pytest.raises(errors.ImageLoadError, match="unexpected EOF"):
        client.images.load(b"this is no archive")


def test_import(client: Client, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(ROOTFS)
    client.api.import_image(src=str(tmp_path / "rootfs.tar"), repository="py-imported", tag="1")
    client.api.import_image_from_data(ROOTFS, repository="py-imported", tag="2", changes=['CMD ["y"]'])
    client.api.import_image_from_stream(iter([ROOTFS]), repository="py-imported", tag="3")
    assert client.images.get("py-imported:2").attrs["Config"]["Cmd"] == ["y"]
    layers = {tuple(client.images.get(f"py-imported:{tag}").attrs["RootFS"]["Layers"]) for tag in (1, 2, 3)}
    assert layers == {(digest_of(ROOTFS),)}


def test_tag_history_and_remove(client: Client) -> None:
    image = client.images.get("busybox")
    assert image.tag("py-tagged", tag="1")
    assert image.tag("py-tagged")
    assert [step["Id"] for step in image.history()][:1] == [image.id]
    assert [each.id for each in client.images.list("py-tagged")] == [image.id]
    with pytest.raises(errors.APIError, match="invalid reference format"):
        image.tag("UPPER")
    with pytest.raises(errors.ImageNotFound):
        client.images.get("py-tagged:2")
    client.images.remove("py-tagged:1")
    client.images.remove("py-tagged")
    with pytest.raises(errors.ImageNotFound, match="No such image: py-tagged"):
        client.images.remove("py-tagged:1")


def test_list_and_prune(client: Client) -> None:
    named, bare = Made([ROOTFS], ["py-listed:1"]), Made([ROOTFS], [], {"author": "x"})
    client.images.load(docker_archive(named, bare))

    def ids(**filters: Any) -> set[str]:
        return {image.id for image in client.images.list(filters=filters)}

    assert ids(dangling=True) == {bare.id}
    assert ids(label="made=yes") == {named.id, bare.id}
    assert ids(label=["made=yes", "nope"]) == set()
    assert ids(reference="py-*") == {named.id}
    assert ids(before="busybox", dangling=False) == {named.id}
    pruned = client.images.prune(filters={"dangling": True})
    assert [line["Deleted"] for line in pruned["ImagesDeleted"]] == [bare.id]
    pruned = client.images.prune(filters={"dangling": False, "label": "made=yes"})
    assert {"Untagged": "py-listed:1"} in pruned["ImagesDeleted"]
    assert pruned["SpaceReclaimed"] >= len(LAYER)
    assert client.images.prune(filters={"label": "made=yes"}) == {"ImagesDeleted": None, "SpaceReclaimed": 0}
