"""Logging in to registries and looking into them, the same as a real dockerd does it.

dockerd has a network of its own: each side has a registry on its own loopback, at the same port, with the same
content.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peer.comparison import differences, require
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both, Peer
from tests.ports import free_port
from tests.registries import (
    DOCKER_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    PASSWORD,
    USER,
    DebianRegistry,
    missing,
)

pytestmark = pytest.mark.root
LAYER = b"layer" * 1000


@pytest.fixture(scope="module")
def registries(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, DebianRegistry]]:
    """An open registry with images of every kind, and one that asks for a password."""
    if reason := missing():
        pytest.skip(reason)
    started: list[DebianRegistry] = []
    found = {}
    try:
        for name, htpasswd in (("open", False), ("guarded", True)):
            root = tmp_path_factory.mktemp(name)
            pair = _pair(root, htpasswd=htpasswd, namespace=peer.pid)
            for registry in pair:
                registry.start()
                started.append(registry)
            _fill(pair[0])
            found[name] = pair[0]
        yield found
    finally:
        for registry in started:
            registry.stop()


def _pair(root: Path, *, htpasswd: bool, namespace: int) -> tuple[DebianRegistry, DebianRegistry]:
    """The same registry here and in the peer's network."""
    port = free_port()
    ours = DebianRegistry(root / "ours", htpasswd=htpasswd, port=port)
    theirs = DebianRegistry(root / "theirs", htpasswd=htpasswd, port=port, namespace=namespace)
    (root / "ours/data").mkdir()
    (root / "theirs/data").symlink_to(root / "ours/data")
    return ours, theirs


def _fill(registry: DebianRegistry) -> None:
    """a:docker, a:variant, a:oci, and indexes of them: a:list, a:index."""
    raw, digest = registry.put_image("a", "docker", [LAYER])
    registry.put_image("a", "latest", [LAYER])
    registry.put_image("a", "variant", [LAYER], architecture="arm", variant="v7", **{"os.version": "1.2"})
    registry.put_image("a", "oci", [LAYER], media_type=OCI_MANIFEST)
    listed = {"mediaType": json.loads(raw)["mediaType"], "digest": digest, "size": len(raw)}
    platforms: list[dict[str, Any]] = [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7", "os.features": ["x"], "os.version": "1"},
    ]
    for tag, media_type in (("list", DOCKER_LIST), ("index", OCI_INDEX)):
        manifests = [{**listed, "platform": platform} for platform in platforms]
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}
        registry.put_manifest("a", tag, document)


def _auth(username: str, password: str) -> dict[str, str]:
    given = json.dumps({"username": username, "password": password}).encode()
    return {"X-Registry-Auth": base64.urlsafe_b64encode(given).decode()}


KNOWN, WRONG = _auth(USER, PASSWORD), _auth(USER, "wrong")
LOOKS: list[tuple[str, str, dict[str, str] | None]] = [
    *(("open", f"a:{tag}", None) for tag in ("docker", "variant", "oci", "list", "index", "none")),
    ("open", "a", None),
    ("open", "none", None),
    ("open", "a:docker", KNOWN),
    ("open", "a:docker", {"X-Registry-Auth": "%%%"}),
    ("open", "a@sha256:" + "0" * 64, None),
    ("guarded", "a:docker", KNOWN),
    ("guarded", "a:docker", WRONG),
    ("guarded", "a:docker", None),
    ("guarded", "none:1", KNOWN),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_looks_into_registries(both: Both, registries: dict[str, DebianRegistry], version: str) -> None:
    found: list[str] = []
    for registry, name, headers in LOOKS:
        path = f"/distribution/{registries[registry].netloc}/{name}/json"
        found += differences(both, "GET", path, version=version, headers=headers)
    require(found)


def test_a_look_by_digest(both: Both, registries: dict[str, DebianRegistry]) -> None:
    _, digest = registries["open"].put_image("b", "1", [LAYER])
    require(differences(both, "GET", f"/distribution/{registries['open'].netloc}/b@{digest}/json"))


@pytest.mark.parametrize(
    "name",
    ["UPPER", "scratch", "a%20b", "a" * 64, "sha256:" + "a" * 64, "127.0.0.1:1/x", "127.0.0.1:99999/x"],
)
def test_looks_at_nothing(both: Both, name: str) -> None:
    require(differences(both, "GET", f"/distribution/{name}/json"))


LOGINS: list[tuple[str, str, str, str]] = [
    ("open", "{}", USER, "any"),
    ("open", "http://{}/v1/", "", ""),
    ("guarded", "{}", USER, PASSWORD),
    ("guarded", "https://{}/v2/", USER, PASSWORD),
    ("guarded", "{}", USER, "wrong"),
    ("guarded", "{}", "", ""),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_logins(both: Both, registries: dict[str, DebianRegistry], version: str) -> None:
    found: list[str] = []
    for registry, address, username, password in LOGINS:
        body = {
            "username": username,
            "password": password,
            "serveraddress": address.format(registries[registry].netloc),
        }
        found += differences(both, "POST", "/auth", body, version=version)
    require(found)
