"""What a saved archive says of itself."""

import json
from typing import Any

from engine.images import archive_index, layouts, reference
from engine.images.archive_index import Saved
from engine.images.config import ImageConfig
from engine.images.image import Image, Layer

PLAIN, UNPACKED, PACKED = (f"sha256:{digit * 64}" for digit in "123")
ID, MANIFEST = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def layer(diff_id: str, blob: str) -> Layer:
    return Layer(diff_id=diff_id, chain_id=diff_id, size=1, blob=blob, blob_size=7, media_type="m")


def image(*layers: Layer, **said: Any) -> Image:
    return Image(id=ID, config=ImageConfig(), layers=list(layers), manifest=MANIFEST, made=0, **said)


def said(*saved: Saved) -> dict[str, Any]:
    return {name: json.loads(document) for name, document in archive_index.documents(saved).items()}


def test_only_plain_layers_have_a_source() -> None:
    found = said(Saved(image(layer(PLAIN, PLAIN), layer(UNPACKED, PACKED)), [], b"{}"))
    (entry,) = found["manifest.json"]
    assert entry["LayerSources"] == {PLAIN: {"mediaType": "m", "size": 7, "digest": PLAIN}}
    assert entry["Layers"] == [f"blobs/sha256/{'1' * 64}", f"blobs/sha256/{'3' * 64}"]
    assert entry["RepoTags"] is None


def test_the_manifest_keeps_its_media_type() -> None:
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    for document, shown in (
        (b"{}", layouts.OCI_MANIFEST),
        (b'{"mediaType":"%s"}' % docker.encode(), docker),
    ):
        (descriptor,) = said(Saved(image(), [], document))["index.json"]["manifests"]
        assert descriptor == {"mediaType": shown, "digest": MANIFEST, "size": len(document)}


def test_an_image_without_layers_has_no_place_in_repositories() -> None:
    found = said(Saved(image(), [reference.parse("x:1")], b"{}"))
    assert "repositories" not in found
    assert found["manifest.json"][0]["RepoTags"] == ["x:1"]


def test_nothing_at_all_is_what_docker_writes() -> None:
    found = archive_index.documents([])
    assert found["manifest.json"] == b"null\n"
    assert json.loads(found["index.json"])["manifests"] is None
    assert list(found) == ["index.json", "manifest.json", "oci-layout"]


def test_names_are_told_in_both_forms() -> None:
    names = [reference.parse(text) for text in ("busybox:1", "host.example:5000/a/b:2")]
    found = said(Saved(image(layer(PLAIN, PLAIN)), names, b"{}"))
    annotations = [each["annotations"] for each in found["index.json"]["manifests"]]
    assert annotations == [
        {"io.containerd.image.name": "docker.io/library/busybox:1", "org.opencontainers.image.ref.name": "1"},
        {"io.containerd.image.name": "host.example:5000/a/b:2", "org.opencontainers.image.ref.name": "2"},
    ]
    assert found["repositories"] == {"busybox": {"1": "1" * 64}, "host.example:5000/a/b": {"2": "1" * 64}}
