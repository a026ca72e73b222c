"""Archives of every kind, to load and to import."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zstandard

from tests.integration.images.archives import (
    Files,
    Made,
    digest,
    docker_archive,
    docker_files,
    manifest_json,
    tar,
)
from tests.peer.comparison import differences, require
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n", "large": b"x" * 200_000})
MADE = Made(layers=[ROOTFS, tar({"etc/more": b"more\n"})], tags=["peer-body:1"])
OTHER = Made(layers=[ROOTFS], tags=["peer-body:2", "peer-body:3"], said={"author": "other"})
UNNAMED = Made(layers=[ROOTFS], tags=[], said={"author": "nobody"})
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "gzip-twice": lambda data: gzip.compress(gzip.compress(data)),
    "gzip-members": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "gzip-cut": lambda data: gzip.compress(data)[:-9],
    "gzip-trailing": lambda data: gzip.compress(data) + b"trailing",
}


def without(files: Files, *names: str) -> Files:
    return {name: data for name, data in files.items() if name not in names}


def with_manifest(document: Any) -> bytes:
    """The archive of an image with another manifest.json."""
    return tar({**docker_files(MADE), "manifest.json": json.dumps(document).encode()})


def entry(**changed: Any) -> dict[str, Any]:
    (found,) = json.loads(manifest_json(MADE))
    return {**found, **changed}


def links(files: Files) -> bytes:
    """An archive whose second layer is a link to the first, as `docker save` wrote them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("again/layer.tar")
        info.type, info.linkname = tarfile.SYMTYPE, f"../{digest(ROOTFS)[7:]}/layer.tar"
        archive.addfile(info)
        manifest = json.dumps([entry(Layers=["again/layer.tar", entry()["Layers"][1]])]).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(manifest)
        archive.addfile(info, io.BytesIO(manifest))
    return buffer.getvalue()


LOADED: dict[str, bytes] = {
    **{name: pack(docker_archive(MADE)) for name, pack in PACKERS.items()},
    "several": docker_archive(MADE, OTHER, UNNAMED),
    "unnamed": docker_archive(UNNAMED),
    "packed-layers": docker_archive(Made(MADE.layers, MADE.tags, blobs=[gzip.compress(x) for x in MADE.layers])),
    "links": links(without(docker_files(MADE), "manifest.json")),
    "empty": b"",
    "text": b"this is no archive",
    "blocks": bytes(10240),
    "cut": docker_archive(MADE)[:5000],
    "no-manifest": tar({"x": b"y"}),
    "no-entries": with_manifest([]),
    "null": with_manifest(None),
    "object": with_manifest({}),
    "no-config": with_manifest([entry(Config="nope.json")]),
    "empty-config": with_manifest([entry(Config="")]),
    "no-layer": with_manifest([entry(Layers=["nope/layer.tar", "none/layer.tar"])]),
    "few-layers": with_manifest([entry(Layers=entry()["Layers"][:1])]),
    "swapped-layers": with_manifest([entry(Layers=entry()["Layers"][::-1])]),
    "outside": with_manifest([entry(Config="../../etc/passwd")]),
    "bad-name": with_manifest([entry(RepoTags=["UPPER:1"])]),
    "bad-tag": with_manifest([entry(RepoTags=["peer-body:a b"])]),
    "no-tag": with_manifest([entry(RepoTags=["peer-body"])]),
    "digest-name": with_manifest([entry(RepoTags=[f"peer-body@{digest(b'x')}"])]),
    "parent": with_manifest([entry(Parent=digest(b"nope"))]),
    "more": with_manifest([entry(More=1, LayerSources={})]),
}  # fmt: skip


@pytest.fixture
def _nothing(both: Both) -> Iterator[None]:
    """What was loaded is gone after the test."""
    yield
    for made in (MADE, OTHER, UNNAMED):
        both("DELETE", f"/images/{made.id}?force=1")


@pytest.mark.usefixtures("_nothing")
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("kind", LOADED)
def test_load(both: Both, kind: str, version: str) -> None:
    path = f"/images/load?quiet=1&kind={kind}."
    told = differences(both, "POST", path, LOADED[kind], version=version)
    for name in (MADE.id, OTHER.id, UNNAMED.id):
        told += differences(both, "GET", f"/images/{name}/json?kind={kind}.", version=version)
    require(told)


WAYS = ("quiet=1", "quiet=true", "quiet=", "quiet=x", "platform=x&quiet=1", "x=y&quiet=1", "quiet=1&quiet=0")
TYPES = ("application/x-tar", "application/json", "text/plain", "application/octet-stream")


@pytest.mark.usefixtures("_nothing")
@pytest.mark.parametrize("version", VERSIONS)
def test_ways_to_ask_for_a_load(both: Both, version: str) -> None:
    told = []
    archive = docker_archive(MADE)
    for query in WAYS:
        told += differences(both, "POST", f"/images/load?{query}", archive, version=version)
    for content_type in TYPES:
        headers = {"Content-Type": content_type}
        path = f"/images/load?quiet=1&type={content_type}"
        told += differences(both, "POST", path, archive, version=version, headers=headers)
    require(told)


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("kind", [*PACKERS, "empty", "blocks", "text"])
def test_import(both: Both, kind: str, version: str) -> None:
    body = PACKERS[kind](ROOTFS) if kind in PACKERS else LOADED[kind]
    query = f"fromSrc=-&repo=peer-body&tag=1&message={kind}."
    told = differences(both, "POST", f"/images/create?{query}", body, version=version)
    told += differences(both, "GET", f"/images/peer-body:1/json?import={kind}.", version=version)
    told += differences(both, "DELETE", f"/images/peer-body:1?import={kind}.", version=version)
    require(told)
