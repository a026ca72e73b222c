"""Every endpoint of images, volumes, networks and the system, asked in every version."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.comparison import differences, require
from tests.peer.ledger import VERSIONS
from tests.peer.lines import Line, blocks, found, name
from tests.peer.peer import Both

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n"})
MADE = Made(layers=[ROOTFS, tar({"etc/more": b"more\n"})], tags=["peer-asked:1"])
ANOTHER = Made(layers=[ROOTFS], tags=["peer-loaded:1"], said={"author": "peer"})
IMAGES = """
GET /images/json
GET /images/json?all=1
GET /images/json?digests=1
GET /images/json?shared-size=1
GET /images/json?filters={"reference":["peer-asked"]}
GET /images/json?filters={"reference":["peer-*:1","nope"]}
GET /images/json?filters={"label":["made=yes"]}
GET /images/json?filters={"label":["made=no"]}
GET /images/json?filters={"label!":["made"]}
GET /images/json?filters={"dangling":["false"]}
GET /images/json?filters={"dangling":["true"]}
GET /images/json?filters={"since":["peer-asked:1"]}
GET /images/json?filters={"before":["peer-asked:1"]}
GET /images/json?filters={"until":["2020-01-01T00:00:00"]}
GET /images/json?filters={"before":["nope"]}
GET /images/json?filters={"since":["nope:1"]}
GET /images/json?filters={"dangling":["x"]}
GET /images/json?filters={"until":["x"]}
GET /images/json?filters={"reference":["["]}
GET /images/json?filters={"nope":["x"]}
GET /images/json?filters={
GET /images/json?filter=peer-asked

GET /images/peer-asked:1/json
GET /images/peer-asked:2/json
GET /images/nope/json
GET /images/NOPE/json
GET /images/sha256:1234567890/json
GET /images/peer-asked:1/json?x=y

GET /images/peer-asked:1/history
GET /images/busybox/history
GET /images/busybox:latest/history
GET /images/nope/history
GET /images/NOPE/history
GET /images/sha256:1234567890/history
GET /images/peer-asked:1/history?x=y

GET /images/nope/get
GET /images/UPPER/get
GET /images/sha256:abcdef1234/get
GET /images/nope:1/get

GET /images/get?names=nope
GET /images/get?names=
GET /images/get?names=no%20pe
GET /images/get?names=peer-asked:1&names=nope:1

POST /images/peer-asked:1/tag?repo=peer-asked&tag=2
POST /images/peer-asked:1/tag?repo=peer-asked&tag=2
POST /images/peer-asked:1/tag?repo=UPPER
POST /images/peer-asked:1/tag?repo=x&tag=a%20b
POST /images/peer-asked:1/tag?repo=sha256
POST /images/peer-asked:1/tag
POST /images/nope/tag?repo=x
DELETE /images/peer-asked:2

DELETE /images/nope
DELETE /images/NOPE
DELETE /images/no%20pe
DELETE /images/nope?force=1
DELETE /images/sha256:1234567890

GET /distribution/%20/json
GET /distribution/UPPER/json
GET /distribution/127.0.0.1:1/x/json
GET /distribution/127.0.0.1:1/x:tag/json
GET /distribution/127.0.0.1:1/UPPER/json

POST /networks/prune
POST /networks/prune?filters={"until":["1h"]}
POST /networks/prune?filters={"label":["a"],"label!":["b=c"]}
POST /networks/prune?filters={"until":["x"]}
POST /networks/prune?filters={"until":["1h","2h"]}
POST /networks/prune?filters={"dangling":["true"]}
POST /networks/prune?filters={"nope":["x"]}
POST /networks/prune?filters={

POST /build/prune
POST /build/prune?all=1
POST /build/prune?all=x&keep-storage=
POST /build/prune?keep-storage=5&filters={"id":["("],"inuse":["x"],"label":["a"]}
POST /build/prune?filters={"unused-for":["24h"],"type":["x"],"shared":[]}
POST /build/prune?filters={"until":["2020-01-01"]}
POST /build/prune?keep-storage=x
POST /build/prune?keep-storage=1.5
POST /build/prune?filters={"until":["x"]}
POST /build/prune?filters={"unused-for":[""]}
POST /build/prune?filters={"until":["1h","2h"]}
POST /build/prune?filters={"until":["1h"],"unused-for":["1h"]}
POST /build/prune?filters={"id":["a","b"]}
POST /build/prune?filters={"mutable":["a"]}
POST /build/prune?filters={"nope":["x"]}
POST /build/prune?filters={

POST /images/prune?filters={"label":["nobody-has-it"]}
POST /images/prune?filters={"dangling":["true"],"until":["1h"]}
POST /images/prune?filters={"dangling":["x"]}
POST /images/prune?filters={"nope":["x"]}
POST /images/prune?filters={
POST /images/prune?filters={"until":["bad"]}
"""
NETWORKS = """
GET /networks
GET /networks?filters={"driver":["bridge"]}
GET /networks?filters={"type":["builtin"]}
GET /networks?filters={"type":["custom"]}
GET /networks?filters={"type":["x"]}
GET /networks?filters={"name":["host"],"scope":["local"]}
GET /networks?filters={"dangling":["x"]}
GET /networks?filters={"dangling":["false"]}
GET /networks?filters={"label":["a"]}
GET /networks?filters={"id":["zz"]}
GET /networks?filters={"nope":["x"]}
GET /networks?filters={

GET /networks/
GET /networks/?filters={"name":["none"]}
GET /networks/?filters={"scope":["swarm"]}
GET /networks/?filters={"nope":["x"]}
GET /networks/?filters={

GET /networks/bridge
GET /networks/host?verbose=1
GET /networks/none?scope=local
GET /networks/none?scope=swarm
GET /networks/nope
GET /networks/bridge?verbose=x
GET /networks/bridge/more
"""
VOLUMES = """
POST /volumes/create {"Name":"asked","Labels":{"a":"b"}}
POST /volumes/create {"Name":"asked"}
POST /volumes/create {"Name":"other","DriverOpts":{},"Driver":"local"}
POST /volumes/create {"Name":"a/b"}
POST /volumes/create {"Name":"x","DriverOpts":{"foo":"1"}}
POST /volumes/create {"Name":5}
POST /volumes/create {
GET /volumes
GET /volumes?filters={"name":["asked"]}
GET /volumes?filters={"label":["a"],"driver":["local"]}
GET /volumes?filters={"dangling":["true"]}
GET /volumes?filters={"dangling":["x"]}
GET /volumes?filters={"nope":["x"]}
GET /volumes?filters={
GET /volumes/asked
GET /volumes/other
GET /volumes/nope
GET /volumes/a%20b
GET /volumes/asked/more
PUT /volumes/asked {}
PUT /volumes/asked?version=1 {}
PUT /volumes/nope {"Spec":null}
PUT /volumes/asked?version=x {}
PUT /volumes/asked {
DELETE /volumes/asked
DELETE /volumes/other?force=1
DELETE /volumes/nope
DELETE /volumes/nope?force=1
DELETE /volumes/a%2fb
POST /volumes/prune
POST /volumes/prune?filters={"label":["nobody-has-it"]}
POST /volumes/prune?filters={"label!":["a"]}
POST /volumes/prune?filters={"nope":["x"]}
POST /volumes/prune?filters={
"""
SYSTEM = """
GET /_ping
GET /_ping?x=1
GET /_ping?version=1.30
GET /_ping?filters={
GET /_ping?x=1&x=2

HEAD /_ping
HEAD /_ping?x=1
HEAD /_ping?version=1.30
HEAD /_ping?filters={
HEAD /_ping?x=1&x=2

GET /version
GET /version?x=1
GET /version?format=json
GET /version?filters={
GET /version?x=1&x=2

GET /info
GET /info?x=1
GET /info?format=json
GET /info?filters={
GET /info?x=1&x=2

GET /system/df
GET /system/df?type=image
GET /system/df?type=container&type=volume
GET /system/df?type=nope
GET /system/df?type=image&type=nope
GET /system/df?type=

GET /events?since=1&until=2
GET /events?since=1&until=2&filters={"type":["container"],"event":["start"]}
GET /events?since=1&until=2&filters={"type":["bad"]}
GET /events?since=10&until=5
GET /events?since=x&until=5
GET /events?since=1&until=1.5.5
GET /events?since=1&until=2&filters={"nope":["x"]}
GET /events?filters={

POST /auth {
POST /auth []
POST /auth {"serveraddress":"127.0.0.1:1","username":"u","password":"p"}
POST /auth {"serveraddress":"127.0.0.1:99999","username":"u","password":"p"}
POST /auth {"serveraddress":"http://127.0.0.1:1/v2/","username":"u","password":"p"}
POST /auth {"serveraddress":5}

GET /nope
POST /containers
DELETE /version
GET /containers/
PATCH /info
GET /containers//json
GET /./info
"""
# What an engine answers that is in no swarm, and has no plugins.


@pytest.fixture(scope="module", autouse=True)
def _image(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    """An image of two layers and two names on both sides."""
    both = Both(peer_wherryd, peer)
    both("POST", "/images/load?quiet=1", docker_archive(MADE))
    yield
    both("DELETE", f"/images/{MADE.id}?force=1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("block", [b for text in (IMAGES, NETWORKS, SYSTEM) for b in blocks(text)], ids=name)
def test_asked(both: Both, block: list[Line], version: str) -> None:
    require(list(found(both, block, version)))


@pytest.mark.parametrize("version", VERSIONS)
def test_volumes(both: Both, version: str) -> None:
    require(list(found(both, blocks(VOLUMES)[0], version)))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_registry_whose_name_is_too_long(both: Both, version: str) -> None:
    host = "long" * 70 + ".example"
    told = differences(both, "GET", f"/distribution/{host}/x/json", version=version)
    told += differences(both, "POST", f"/images/create?fromImage={host}/x&tag=1", version=version)
    require(told)


@pytest.mark.parametrize("version", VERSIONS)
def test_archives(both: Both, version: str) -> None:
    """Load and import take an archive as their body."""
    told = []
    for path, body in (
        ("/images/load?quiet=1", docker_archive(ANOTHER)),
        ("/images/load", docker_archive(ANOTHER)),
        ("/images/load?quiet=1", b"this is no archive"),
        ("/images/load?quiet=1", b""),
        ("/images/load?quiet=1", ROOTFS),
        ("/images/create?fromSrc=-&repo=peer-imported&tag=1", ROOTFS),
        ("/images/create?fromSrc=-&repo=UPPER", ROOTFS),
        ("/images/create?fromSrc=-&repo=x&tag=a%20b", ROOTFS),
        ("/images/create?fromSrc=-&changes=RUN%20x", ROOTFS),
        ("/images/create?fromSrc=-&repo=peer-imported&tag=2", b"this is no archive"),
    ):
        told += differences(both, "POST", path, body, version=version)
    told += differences(both, "DELETE", f"/images/{ANOTHER.id}?force=1", version=version)
    told += differences(both, "DELETE", "/images/peer-imported:1?force=1", version=version)
    require(told)
