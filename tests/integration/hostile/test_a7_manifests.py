"""A7: manifests and indexes that are ambiguous, too large, too deep, in a circle, or send us elsewhere."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.hostile.doors import CONFIG, LAYER, Gate
from tests.integration.images.archives import Made, descriptor, digest, oci_files, tar
from tests.registries import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

pytestmark = pytest.mark.root
MADE = Made()
NOWHERE = "sha256:" + "a" * 64


def sound() -> dict[str, Any]:
    """A manifest with nothing wrong."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(MADE.config, CONFIG),
        "layers": [descriptor(blob, LAYER) for blob in MADE.stored],
    }


def edited(**fields: Any) -> bytes:
    """The manifest with other fields."""
    return json.dumps({**sound(), **fields}).encode()


def text(old: str, new: str) -> bytes:
    """The manifest with other text."""
    whole = json.dumps(sound())
    assert old in whole
    return whole.replace(old, new).encode()


MANIFESTS: dict[str, tuple[bytes, str]] = {
    "manifests and layers": (edited(manifests=[]), "both manifests and layers"),
    "manifests and layers in other letters": (edited(Manifests=[]), "both manifests and layers"),
    "of 5 MiB": (edited(annotations={"x": "y" * (5 << 20)}), "4194304 bytes"),
    "nested 10,000 deep": (
        text('"schemaVersion": 2', '"x": ' + "[" * 10_000 + "]" * 10_000),
        "invalid image",
    ),
    "a key twice": (text('"schemaVersion": 2', '"layers": [], "schemaVersion": 2'), "given twice"),
    "a key twice in other letters": (
        text('"schemaVersion": 2', '"Layers": [], "schemaVersion": 2'),
        "given twice",
    ),
    "a huge number": (text('"schemaVersion": 2', '"schemaVersion": ' + "9" * 400), "invalid image manifest"),
    "NaN": (text('"schemaVersion": 2', '"schemaVersion": NaN'), "invalid image manifest"),
    "1e400": (text('"schemaVersion": 2', '"schemaVersion": 1e400'), "invalid image manifest"),
    "a lone surrogate": (
        text('"schemaVersion"', '"x": "\\ud800", "schemaVersion"'),
        "invalid image manifest",
    ),
    "bytes that are no text": (
        edited().replace(b"schemaVersion", b"schema\xffersion"),
        "invalid image manifest",
    ),
    "10,000 layers": (edited(layers=sound()["layers"] * 10_000), "layers from manifest don't match"),
    "no layers": (edited(layers=[]), "layers from manifest don't match"),
    "layers that are null": (edited(layers=None), "layers from manifest don't match"),
    "layers that are numbers": (edited(layers=[1]), "invalid image manifest"),
    "no config": (edited(config=None), "its config is not named by a sha256 digest"),
    "a config by its path": (
        edited(config={**sound()["config"], "digest": "sha256:../../../../../../etc/passwd"}),
        "its config is not named by a sha256 digest",
    ),
    "a config of a terabyte": (edited(config={**sound()["config"], "size": 1 << 40}), "larger than"),
    "a config of another kind": (
        edited(config={**sound()["config"], "mediaType": "text/x"}),
        "unsupported media type text/x",
    ),
    "no object": (b"[]", "invalid image manifest"),
    "null": (b"null", "invalid image manifest"),
    "nothing": (b"", "invalid image manifest"),
    "no JSON": (b"<html>", "invalid image manifest"),
    "two documents": (edited() + edited(), "invalid image manifest"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_manifests(gate: Gate, case: str) -> None:
    raw, reason = MANIFESTS[case]
    gate.put(MADE)
    gate.shelf.put_manifest("1", raw)
    assert reason in gate.pull().error
    if case not in (
        "10,000 layers",
        "no layers",
        "layers that are null",
        "no config",
        "a config of a terabyte",
    ):
        return
    files = oci_files(MADE)
    files["index.json"] = json.dumps({"manifests": [descriptor(raw, OCI_MANIFEST)]}).encode()
    assert gate.load(tar({**files, f"blobs/sha256/{digest(raw)[7:]}": raw})).error


def test_a_config_of_ten_thousand_layers(gate: Gate) -> None:
    made = Made(said={"rootfs": {"type": "layers", "diff_ids": [NOWHERE] * 10_000}})
    gate.put_document({"layers": [descriptor(MADE.layers[0], LAYER)] * 10_000}, made)
    assert "max depth exceeded" in gate.pull().error


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_indexes_in_a_circle(gate: Gate, media_type: str) -> None:
    """None can name itself by its digest, but a registry that lies, or a chain, may go on for ever."""
    platform = {"architecture": "amd64", "os": "linux"}
    entry = {**descriptor(b"", media_type), "digest": NOWHERE, "platform": platform}
    for _ in range(12):
        raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}).encode()
        entry = {**descriptor(raw, media_type), "platform": platform}
        gate.shelf.put_manifest("1", raw, media_type)
    assert "too many indexes" in gate.pull().error
    gate.shelf.manifests[NOWHERE] = gate.shelf.manifests["1"]  # it is not what the digest says
    assert gate.pull().error
    assert len(gate.shelf.asked) < 30


def test_an_index_in_a_circle_of_a_layout(gate: Gate) -> None:
    files = oci_files(MADE)
    entry = json.loads(files["index.json"])["manifests"][0]
    for _ in range(12):
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
        entry = descriptor(raw, OCI_INDEX)
        files[f"blobs/sha256/{digest(raw)[7:]}"] = raw
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    assert "too many indexes" in gate.load(tar(files)).error


INDEXES: dict[str, tuple[dict[str, Any], str]] = {
    "manifests and layers": ({"manifests": [], "layers": []}, "both manifests and layers"),
    "manifests and a config": ({"manifests": [], "config": {}}, "both manifests and layers"),
    "nothing": ({"manifests": []}, "no matching manifest"),
    "null": ({"manifests": None}, "no matching manifest"),
    "numbers": ({"manifests": [1, 2]}, "invalid image index"),
    "100,000 entries": ({"manifests": [{}] * 60_000}, "values"),
    "a platform that is a text": ({"manifests": [{"platform": "linux"}]}, "invalid image index"),
    "a digest that is a path": (
        {"manifests": [{"digest": "../../x", "platform": {"architecture": "amd64", "os": "linux"}}]},
        "",
    ),
}


@pytest.mark.parametrize("case", INDEXES)
def test_indexes(gate: Gate, case: str) -> None:
    fields, reason = INDEXES[case]
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, **fields}).encode()
    gate.shelf.put_manifest("1", raw, OCI_INDEX)
    error = gate.pull().error
    assert error
    assert reason in error
    assert not any(".." in path for path in gate.shelf.asked)


def test_one_document_by_two_types(gate: Gate) -> None:
    """What a registry calls an index is read as one, whatever the document says of itself (CVE-2021-41190)."""
    gate.put(MADE)
    for raw, media_type in ((edited(), OCI_INDEX), (edited(mediaType=OCI_INDEX), OCI_MANIFEST)):
        gate.shelf.put_manifest("1", raw, media_type)
        assert gate.pull().error


@pytest.mark.parametrize("kind", [LAYER, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"])
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_urls_of_layers_are_never_asked(gate: Gate, kind: str, media_type: str) -> None:
    """Nobody is sent elsewhere, with credentials least of all (CVE-2020-15157)."""
    trap = f"http://{gate.shelf.netloc}/trap"
    layer = {**descriptor(b"elsewhere", kind), "urls": [trap, "http://169.254.169.254/latest/meta-data"]}
    gate.put_document({"layers": [layer], "mediaType": media_type})
    login = base64.b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
    assert gate.pull(headers={"X-Registry-Auth": login}).error
    assert not any("trap" in path for path in gate.shelf.asked)


def test_a_layer_that_may_be_elsewhere_is_fetched_from_the_registry(gate: Gate) -> None:
    """As dockerd does for Linux, where the registry has it; pushed it is as all others, since Docker 28."""
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    layer = {**descriptor(MADE.stored[0], kind), "urls": [f"http://{gate.shelf.netloc}/trap"]}
    gate.put_document({"layers": [layer]}, MADE)
    assert gate.pull().error == ""
    assert not any("trap" in path for path in gate.shelf.asked)


def lying_digest(gate: Gate) -> str:
    gate.put(MADE)
    gate.shelf.manifests[NOWHERE] = (edited(), OCI_MANIFEST)
    return gate.pull(NOWHERE).error


def lying_config(gate: Gate) -> str:
    gate.put(MADE)
    gate.shelf.blobs[MADE.id] = MADE.config.replace(b"sh", b"su")
    return gate.pull().error


LIES: dict[str, Callable[[Gate], str]] = {"a manifest": lying_digest, "a config": lying_config}


@pytest.mark.parametrize("case", LIES)
def test_documents_of_another_digest(gate: Gate, case: str) -> None:
    assert "verification failed for digest" in LIES[case](gate)
