"""What Debian's registry has, as it is read without TLS and without credentials."""

import asyncio
import json
from collections.abc import Callable

import pytest

import errdefs
from engine.images.reference import parse
from engine.registry import errors
from engine.registry.client import Registry
from engine.registry.origin import Fetched
from engine.registry.repository import Repository
from tests.integration.registry.conftest import LAYER, read
from tests.ports import free_port
from tests.registries import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    DebianRegistry,
    digest_of,
)

Open = Callable[..., Repository]


async def test_a_manifest_by_tag_and_by_digest(plain: DebianRegistry, open_repository: Open) -> None:
    repository = open_repository(f"{plain.netloc}/a/b:1")
    found = await repository.manifest("1")
    assert found.digest == digest_of(found.raw)
    assert (found.media_type, found.size) == (DOCKER_MANIFEST, len(found.raw))
    assert await repository.manifest(found.digest) == found
    for name in ("1", found.digest):
        assert await repository.head(name) == Fetched(b"", DOCKER_MANIFEST, found.digest, len(found.raw))


@pytest.mark.parametrize("media_type", [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST])
async def test_kinds_of_manifests(plain: DebianRegistry, open_repository: Open, media_type: str) -> None:
    raw, digest = plain.put_image("kinds/x", "", [LAYER], media_type=OCI_MANIFEST)
    if media_type == OCI_MANIFEST:
        plain.put_manifest("kinds/x", "tag", json.loads(raw))
    else:
        listed = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(raw)}
        platform = {"architecture": "amd64", "os": "linux"}
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [{**listed, "platform": platform}],
        }
        raw, digest = plain.put_manifest("kinds/x", "tag", document)
    found = await open_repository(f"{plain.netloc}/kinds/x").manifest("tag")
    assert (found.raw, found.media_type, found.digest) == (raw, media_type, digest)


async def test_a_blob_whole_and_from_an_offset_on(plain: DebianRegistry, open_repository: Open) -> None:
    repository = open_repository(f"{plain.netloc}/a/b:1")
    digest = digest_of(LAYER)
    assert await read(repository, digest, len(LAYER)) == (0, LAYER)
    assert await read(repository, digest, len(LAYER), 123_456) == (123_456, LAYER[123_456:])
    assert await read(repository, digest, len(LAYER), len(LAYER) - 1) == (len(LAYER) - 1, LAYER[-1:])


async def test_an_offset_behind_the_end_begins_anew(plain: DebianRegistry, open_repository: Open) -> None:
    repository = open_repository(f"{plain.netloc}/a/b:1")
    assert await read(repository, digest_of(LAYER), len(LAYER), len(LAYER)) == (0, LAYER)


async def test_a_blob_of_another_size_is_refused(plain: DebianRegistry, open_repository: Open) -> None:
    repository = open_repository(f"{plain.netloc}/a/b:1")
    for size, offset in ((len(LAYER) - 1, 0), (len(LAYER) + 1, 0), (len(LAYER) + 1, 5)):
        with pytest.raises(
            errdefs.SystemFailure, match=f"has {len(LAYER)} bytes instead of the {size} announced"
        ):
            await read(repository, digest_of(LAYER), size, offset)


async def test_a_blob_that_is_left_early(plain: DebianRegistry, open_repository: Open) -> None:
    repository = open_repository(f"{plain.netloc}/a/b:1")
    for _ in range(20):
        async with repository.blob(digest_of(LAYER), size=len(LAYER)) as blob:
            async for _ in blob:
                break
    assert await read(repository, digest_of(LAYER), len(LAYER)) == (0, LAYER)


async def test_what_is_not_there(plain: DebianRegistry, open_repository: Open) -> None:
    netloc, nothing = plain.netloc, "sha256:" + "0" * 64
    repository = open_repository(f"{netloc}/a/b:2")
    with pytest.raises(errdefs.NotFound) as missing:
        await repository.manifest("2")
    assert (
        missing.value.message == f"manifest for {netloc}/a/b:2 not found: manifest unknown: manifest unknown"
    )
    with pytest.raises(errdefs.NotFound) as missing:
        await repository.head("2")
    assert (
        missing.value.message == f"manifest for {netloc}/a/b:2 not found: manifest unknown: manifest unknown"
    )
    with pytest.raises(errdefs.SystemFailure) as absent:
        await read(repository, nothing, 5)
    assert absent.value.message == "blob unknown: blob unknown to registry"
    with pytest.raises(errdefs.NotFound) as missing:
        [tag async for tag in open_repository(f"{netloc}/none").tags()]
    assert missing.value.message == (
        f"repository {netloc}/none not found: name unknown: repository name not known to registry"
    )


async def test_tags(plain: DebianRegistry, open_repository: Open) -> None:
    for tag in ("b", "a", "1.0"):
        plain.put_image("tagged", tag, [LAYER])
    assert sorted([tag async for tag in open_repository(f"{plain.netloc}/tagged").tags()]) == [
        "1.0",
        "a",
        "b",
    ]


async def test_nobody_there(open_repository: Open) -> None:
    netloc = f"127.0.0.1:{free_port()}"
    repository = open_repository(f"{netloc}/x")
    with pytest.raises(errors.Transient) as failed:
        await repository.manifest("1")
    assert (
        failed.value.message == f'Get "http://{netloc}/v2/": dial tcp {netloc}: connect: connection refused'
    )


async def test_a_registry_that_comes_back_is_asked_again(
    make_registry: Callable[..., DebianRegistry], open_repository: Open
) -> None:
    registry = make_registry()
    registry.put_image("x", "1", [LAYER])
    registry.stop()
    repository = open_repository(f"{registry.netloc}/x")
    with pytest.raises(errors.Transient):
        await repository.manifest("1")
    registry.start()
    assert (await repository.manifest("1")).media_type == DOCKER_MANIFEST


async def test_many_at_once_share_the_client(plain: DebianRegistry, clients: Callable[..., Registry]) -> None:
    client = clients()
    repositories = [client.repository(parse(f"{plain.netloc}/a/b"), None) for _ in range(20)]
    found = await asyncio.gather(*(read(each, digest_of(LAYER), len(LAYER)) for each in repositories))
    assert set(found) == {(0, LAYER)}
