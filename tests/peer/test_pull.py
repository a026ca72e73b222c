"""Pulling from the same registry: lines, failures, records and events as of a real dockerd."""

import base64
import gzip
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.peer.comparison import JSON, same
from tests.peer.peer import Both, Peer
from tests.peer.registries import twice
from tests.registries import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    PASSWORD,
    USER,
    DebianRegistry,
    digest_of,
    missing,
)
from tests.unix_http import call

pytestmark = pytest.mark.root

LAYERS = [
    tar({"etc/hello": b"hello\n"}),
    tar({"large": random.Random(9).randbytes(1 << 20)}),
    tar({"etc/more": b"more\n"}),
]
ZIPPED = [gzip.compress(layer, 1, mtime=0) for layer in LAYERS]
CREATE = "/images/create?fromImage="


def said(count: int, **more: Any) -> dict[str, Any]:
    """What the config of an image of so many of the layers says."""
    return {
        "created": "2024-01-02T03:04:05Z",
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in LAYERS[:count]]},
        "config": {"Cmd": ["sh"], "Labels": {"pulled": "yes"}},
        **more,
    }


def index(media_type: str, *entries: tuple[bytes, str, str]) -> dict[str, Any]:
    """An index of manifests: bytes, digest, platform ("arm64/v8")."""
    manifests = []
    for raw, digest, platform in entries:
        architecture, _, variant = platform.partition("/")
        named = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}
        manifests.append(
            {"mediaType": DOCKER_MANIFEST, "digest": digest, "size": len(raw), "platform": named}
        )
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}


def silent(document: dict[str, Any]) -> dict[str, Any]:
    """The index without a word of what its manifests are for."""
    for each in document["manifests"]:
        del each["platform"]
    return document


def renamed(document: dict[str, Any], kind: str, media_type: str) -> dict[str, Any]:
    """The manifest with another type for its config or its layer."""
    (document["config"] if kind == "config" else document["layers"][0])["mediaType"] = media_type
    return document


def _levels(made: DebianRegistry) -> list[tuple[bytes, str, str]]:
    """Images for processors of amd64 that can do more and more, each with its platform."""
    return [
        (*made.put_image("peer/pulled", "", ZIPPED[:2], **said(2, variant=level)), f"amd64/{level}")
        for level in ("v2", "v3", "v4")
    ]


@pytest.fixture(scope="module")
def registry(session_root: Path, peer: Peer) -> Iterator[DebianRegistry]:
    """With peer/pulled:1 (three layers), :2 (two), :arm and :multi."""
    if reason := missing():
        pytest.skip(reason)
    with twice(session_root / "registry-peer", peer) as made:
        one = made.put_image("peer/pulled", "1", ZIPPED, **said(3))
        made.put_image("peer/pulled", "2", ZIPPED[:2], **said(2))
        arm = made.put_image("peer/pulled", "arm", ZIPPED[:1], **said(1, architecture="arm64", variant="v8"))
        old = made.put_image("peer/pulled", "386", ZIPPED[:1], **said(1, architecture="386"))
        entries = [(*arm, "arm64/v8"), (*old, "386"), (*one, "amd64")]
        made.put_manifest("peer/pulled", "multi", index(DOCKER_LIST, *entries))
        made.put_manifest("peer/pulled", "small", index(DOCKER_LIST, *entries[:2]))
        made.put_manifest("peer/pulled", "oci", index(OCI_INDEX, *entries))
        named = [(*one, "amd64"), *_levels(made)]
        made.put_manifest("peer/pulled", "levels", index(OCI_INDEX, *named))
        made.put_manifest("peer/pulled", "second", index(OCI_INDEX, *named[1:2]))
        made.put_manifest("peer/pulled", "silent", silent(index(OCI_INDEX, *entries[2:], *entries[:2])))
        made.put_image("peer/odd", "windows", ZIPPED[:1], **said(1, os="windows"))
        for tag, kind in (("chart", "config"), ("picture", "layer")):
            raw, _ = made.put_image(
                "peer/odd", "", ZIPPED[:1], media_type=OCI_MANIFEST, **said(1, author=tag)
            )
            made.put_manifest("peer/odd", tag, renamed(json.loads(raw), kind, f"application/vnd.{tag}"))
        made.put_image("peer/odd", "few", ZIPPED[:1], **said(2))
        made.put_image("peer/odd", "wrong", ZIPPED[1:2], **said(1))
        yield made


@pytest.fixture
def repository(registry: DebianRegistry, both: Both) -> Iterator[str]:
    """The name of peer/pulled; what is pulled of it is gone after the test."""
    yield f"{registry.netloc}/peer/pulled"
    for socket in (both.wherryd.socket, both.peer.socket):
        filters = quote('{"label": ["pulled"]}')
        for image in call(socket, "GET", f"/v1.45/images/json?filters={filters}").json:
            call(socket, "DELETE", f"/v1.45/images/{image['Id']}?force=1")


def told(both: Both, path: str, **headers: str) -> list[list[dict[str, Any]]]:
    """What both say to a pull."""
    sockets = (both.wherryd.socket, both.peer.socket)
    answers = [call(socket, "POST", f"/v1.45{path}", headers=headers) for socket in sockets]
    return [[json.loads(line) for line in answer.body.splitlines()] for answer in answers]


PASSING = ("Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting")
"""Dockerd leaves these out when something newer is to be told."""


def story(lines: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """What is told of the whole, in order, and of each layer its steps, each once."""
    whole: list[dict[str, Any]] = []
    layers: dict[str, list[str]] = {}
    for line in lines:
        if not re.fullmatch("[0-9a-f]{12}", line.get("id", "")):
            whole.append(line)
        elif line["status"] not in PASSING:
            steps = layers.setdefault(line["id"], [])
            if line["status"] not in steps:
                steps.append(line["status"])
    return whole, layers


def require_same_story(both: Both, path: str, **headers: str) -> None:
    ours, theirs = told(both, path, **headers)
    assert story(ours) == story(theirs)
    if "error" not in ours[-1]:
        assert layers_that(ours, "Download complete") == layers_that(ours, "Pulling fs layer")


def layers_that(lines: list[dict[str, Any]], status: str) -> list[str]:
    """Of which layers that is told, each as often as it is."""
    return sorted(line["id"] for line in lines if line.get("status") == status)


def test_lines(both: Both, repository: str) -> None:
    """Of a first pull, one of shared layers, one that brings nothing, by digest, and of all tags."""
    for tag in ("2", "1", "1", "multi", "oci", "small"):
        require_same_story(both, f"{CREATE}{repository}&tag={tag}")
    (name,) = call(both.peer.socket, "GET", f"/v1.45/images/{repository}:2/json").json["RepoDigests"]
    require_same_story(both, f"{CREATE}{name}")
    require_same_story(both, f"{CREATE}{repository}&tag={name.partition('@')[2]}")
    require_same_story(both, CREATE + repository)


def full_bars(lines: list[dict[str, Any]]) -> dict[str, str]:
    """The bars of the first layer that are full, by what was done."""
    layer = digest_of(ZIPPED[0]).removeprefix("sha256:")[:12]
    counted = [line for line in lines if line.get("progress") and line["id"] == layer]
    details = {line["status"]: (line["progress"], line["progressDetail"]) for line in counted}
    return {status: bar for status, (bar, of) in details.items() if of["current"] == of["total"]}


def test_a_line_of_progress(both: Both, repository: str) -> None:
    """Every kind of line has the same fields, and a full bar is drawn alike; that is a line that dockerd may drop."""
    for _ in range(10):
        lines = told(both, f"{CREATE}{repository}&tag=1")
        if "Extracting" in full_bars(lines[1]):
            break
        both("DELETE", f"/images/{repository}:1?force=1")
    assert full_bars(lines[0])["Extracting"] == full_bars(lines[1])["Extracting"]
    fields = [{line["status"]: sorted(line) for line in each} for each in lines]
    common = fields[0].keys() & fields[1].keys()
    assert {"Pulling fs layer", "Extracting", "Pull complete", "Pulling from peer/pulled"} <= common
    assert {key: fields[0][key] for key in common} == {key: fields[1][key] for key in common}


def test_the_record(both: Both, repository: str) -> None:
    for tag in ("1", "multi"):
        told(both, f"{CREATE}{repository}&tag={tag}")
    same(both, "GET", f"/images/{repository}:1/json")
    same(both, "GET", f"/images/{repository}:multi/history")
    same(both, "GET", "/images/json?filters=" + quote('{"label": ["pulled"]}'))
    same(both, "DELETE", f"/images/{repository}:multi")
    same(both, "DELETE", f"/images/{repository}:1")


def test_platforms(both: Both, repository: str) -> None:
    for platform in ("linux/arm64", "linux/arm/v7", "linux/s390x", "linux/386", "windows/amd64", "arm64"):
        require_same_story(both, f"{CREATE}{repository}&tag=multi&platform={quote(platform)}")
    ours, theirs = told(both, f"{CREATE}{repository}&tag=1&platform=linux%2Farm64")
    assert story(ours[:-1]) == story(theirs[:-1])
    assert "error" in ours[-1], "the words of later engines"
    assert "error" in theirs[-1]


def test_the_best_that_this_machine_runs(both: Both, repository: str) -> None:
    """Nobody asked for a platform: of several levels of a processor the highest, and what does not say its own."""
    for tag in ("second", "levels", "silent"):
        require_same_story(both, f"{CREATE}{repository}&tag={tag}")
        same(both, "GET", f"/images/{repository}:{tag}/json")
        require_same_story(both, f"{CREATE}{repository}&tag={tag}")
    for tag in ("levels", "silent"):
        both("DELETE", f"/images/{repository}:{tag}?force=1")
        require_same_story(both, f"{CREATE}{repository}&tag={tag}&platform=linux%2Famd64")
        same(both, "GET", f"/images/{repository}:{tag}/json")


def test_another_machines_image_is_warned_of(both: Both, repository: str) -> None:
    told(both, f"{CREATE}{repository}&tag=arm")
    body = json.dumps({"Image": f"{repository}:arm"}).encode()
    answers = both("POST", "/containers/create?name=peer-arm", body, headers=JSON)
    both("DELETE", "/containers/peer-arm")
    ours, theirs = [each.body["Warnings"] for each in answers]
    assert ours == theirs
    assert len(ours) == 1


ERRORS = [
    "{}&tag=nope",
    "{}&tag=sha256:" + "a" * 64,
    "{}&tag=a%20b",
    "{}&tag=1&platform=a/b/c/d",
    "{}:1@sha256:abc",
    "{}/no/such&tag=1",
    "{}/no/such",
    "scratch&tag=1",
    "UPPER&tag=1",
    "127.0.0.1:1/x&tag=1",
    "127.0.0.1:99999/x&tag=1",
]


@pytest.mark.parametrize("query", ERRORS)
def test_failures(both: Both, repository: str, query: str) -> None:
    same(both, "POST", CREATE + query.format(repository))


@pytest.mark.parametrize("tag", ["windows", "few", "wrong"])
def test_what_is_no_image(both: Both, registry: DebianRegistry, tag: str) -> None:
    """Both fail in the stream; of what is wrong with it each tells what it has found."""
    for lines in told(both, f"{CREATE}{registry.netloc}/peer/odd&tag={tag}"):
        assert lines[0] == {"status": "Pulling from peer/odd", "id": tag}
        assert lines[-1]["error"]
    for socket in (both.wherryd.socket, both.peer.socket):
        assert call(socket, "GET", f"/v1.45/images/{registry.netloc}/peer/odd:{tag}/json").status == 404


@pytest.mark.parametrize("tag", ["windows", "chart", "picture"])
def test_what_is_no_image_in_the_same_words(both: Both, registry: DebianRegistry, tag: str) -> None:
    ours, theirs = told(both, f"{CREATE}{registry.netloc}/peer/odd&tag={tag}")
    assert ours[0] == theirs[0]
    assert ours[-1] == theirs[-1]


def test_events(both: Both, repository: str) -> None:
    since = time.time()
    for query in ("&tag=1", "&tag=1", ":2"):
        told(both, f"{CREATE}{repository}{query}")
    filters = quote(json.dumps({"type": ["image"], "event": ["pull"]}))
    path = f"/v1.45/events?since={since:.9f}&until={int(time.time()) + 1}&filters={filters}"
    happened = []
    for socket in (both.wherryd.socket, both.peer.socket):
        lines = [json.loads(line) for line in call(socket, "GET", path).body.splitlines()]
        happened.append([line["Actor"] for line in lines])
    assert happened[0] == happened[1]
    assert len(happened[0]) == 3


def auth(**fields: str) -> str:
    """The header of credentials."""
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


def test_credentials(both: Both, session_root: Path, peer: Peer, peer_wherryd: Wherryd) -> None:
    with twice(session_root / "registry-peer-htpasswd", peer, htpasswd=True) as registry:
        registry.put_image("in/side", "1", ZIPPED[:1], **said(1))
        path = f"{CREATE}{registry.netloc}/in/side&tag=1"
        for header in ("", "no base64!", "e30=", auth(username=USER), auth(username=USER, password="wrong")):
            same(both, "POST", path, headers={"X-Registry-Auth": header})
        require_same_story(both, path, **{"X-Registry-Auth": auth(username=USER, password=PASSWORD)})
        both("DELETE", f"/images/{registry.netloc}/in/side:1")
