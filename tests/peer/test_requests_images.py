"""Every parameter of the endpoints of images, with good, bad and odd values, in every version."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.images.archives import Made, digest, docker_archive, tar
from tests.peer.comparison import require
from tests.peer.ledger import VERSIONS
from tests.peer.lines import Line, blocks, found, name
from tests.peer.peer import Both

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n"})
ONE = Made(
    layers=[ROOTFS, tar({"etc/more": b"more\n"})],
    tags=["odd-one:1", "odd-one:2", "127.0.0.1:5/odd/one:1"],
    said={"created": "2024-01-02T03:04:05.123456789Z", "config": {"Labels": {"odd": "yes", "n": "1"}}},
)
TWO = Made(
    layers=[ROOTFS],
    tags=["odd-two:latest"],
    said={
        "created": "2023-01-02T03:04:05Z",
        "author": "me",
        "variant": "v8",
        "architecture": "arm64",
        "os.version": "1",
        "config": {"Labels": {"odd": "no"}, "Entrypoint": ["e"], "Volumes": {"/v": {}}},
    },
)
BARE = Made(
    layers=[ROOTFS], tags=[], said={"created": None, "history": None, "config": {"Labels": {"odd": ""}}}
)
ALL = (ONE, TWO, BARE)
AMD64 = json.dumps({"os": "linux", "architecture": "amd64"}, separators=(",", ":"))
LIST = f"""
GET /images/json?all=0
GET /images/json?all=false&digests=0
GET /images/json?all=x
GET /images/json?shared-size=0
GET /images/json?shared-size=x&manifests=1&identity=1
GET /images/json?filters=
GET /images/json?filters=null
GET /images/json?filters={{}}
GET /images/json?filters=[]
GET /images/json?filters={{"dangling":{{"true":true}}}}
GET /images/json?filters={{"dangling":["1"]}}
GET /images/json?filters={{"dangling":["0"]}}
GET /images/json?filters={{"dangling":["TRUE"]}}
GET /images/json?filters={{"dangling":[]}}
GET /images/json?filters={{"dangling":["true"],"label":["odd"]}}
GET /images/json?filters={{"label":["odd"]}}
GET /images/json?filters={{"label":["odd=yes","n=1"]}}
GET /images/json?filters={{"label":["odd=yes","n=2"]}}
GET /images/json?filters={{"label":["odd="]}}
GET /images/json?filters={{"label":["=yes"]}}
GET /images/json?filters={{"label":[""]}}
GET /images/json?filters={{"label":[]}}
GET /images/json?filters={{"label":{{"odd=yes":true}}}}
GET /images/json?filters={{"before":["odd-one:1"]}}
GET /images/json?filters={{"before":["odd-two"]}}
GET /images/json?filters={{"before":["odd-two","odd-one:1"]}}
GET /images/json?filters={{"before":["{ONE.id}"]}}
GET /images/json?filters={{"before":["{ONE.id[7:19]}"],"label":["odd"]}}
GET /images/json?filters={{"since":["odd-two"],"label":["odd"]}}
GET /images/json?filters={{"since":["{TWO.id[7:19]}"],"before":["odd-one:1"]}}
GET /images/json?filters={{"since":["odd-one:1"],"before":["odd-two"]}}
GET /images/json?filters={{"since":["{BARE.id}"],"label":["odd"]}}
GET /images/json?filters={{"since":[""]}}
GET /images/json?filters={{"before":[]}}
GET /images/json?filters={{"since":["UPPER"]}}
GET /images/json?filters={{"until":["2023-06-01"],"label":["odd"]}}
GET /images/json?filters={{"until":["2023-06-01T00:00:00Z"],"label":["odd"]}}
GET /images/json?filters={{"until":["1690000000"],"label":["odd"]}}
GET /images/json?filters={{"until":["1690000000.5"],"label":["odd"]}}
GET /images/json?filters={{"until":["1h"],"label":["odd"]}}
GET /images/json?filters={{"until":["1h","2h"],"label":["odd"]}}
GET /images/json?filters={{"until":[]}}
GET /images/json?filters={{"reference":["odd-one"]}}
GET /images/json?filters={{"reference":["odd-one:2"]}}
GET /images/json?filters={{"reference":["odd-*"]}}
GET /images/json?filters={{"reference":["odd-*:1","odd-two"]}}
GET /images/json?filters={{"reference":["*:latest"],"label":["odd"]}}
GET /images/json?filters={{"reference":["*/odd/*"]}}
GET /images/json?filters={{"reference":["*/*/*:1"]}}
GET /images/json?filters={{"reference":["127.0.0.1:5/odd/one"]}}
GET /images/json?filters={{"reference":["docker.io/library/odd-one:1"]}}
GET /images/json?filters={{"reference":["library/odd-one"]}}
GET /images/json?filters={{"reference":["odd-[a-o]*"]}}
GET /images/json?filters={{"reference":["odd-?wo"]}}
GET /images/json?filters={{"reference":["ODD-one"]}}
GET /images/json?filters={{"reference":[""]}}
GET /images/json?filters={{"reference":[]}}
GET /images/json?filters={{"reference":["{ONE.id}"]}}
GET /images/json?filters={{"reference":["odd-one:1"],"dangling":["true"]}}
GET /images/json?filters={{"reference":["odd-one:1"],"dangling":["false"],"label":["n=1"],"before":["busybox"]}}
GET /images/json?filter=odd-one
GET /images/json?filter=odd-one:2
GET /images/json?filter=odd-*
GET /images/json?filter=nope&filters={{"reference":["odd-two"]}}
GET /images/json?filter=
"""
READ = f"""
GET /images/odd-two/json
GET /images/odd-two:latest/json?size=1
GET /images/docker.io/library/odd-two/json
GET /images/docker.io/odd-two:latest/json
GET /images/index.docker.io/odd-two/json
GET /images/127.0.0.1:5/odd/one:1/json
GET /images/{TWO.id}/json
GET /images/{TWO.id[7:]}/json
GET /images/{TWO.id[7:19]}/json
GET /images/{TWO.id[:19]}/json
GET /images/{TWO.id[7:15]}/json
GET /images/{BARE.id[7:19]}/json
GET /images/{BARE.id[7:19].upper()}/json
GET /images/odd-one@{digest(b"x")}/json
GET /images/odd-one/json
GET /images/odd-two:LATEST/json
GET /images/odd-two:a%20b/json
GET /images/odd-two:/json
GET /images/:latest/json
GET /images/odd%2Ftwo/json
GET /images/sha256/json
GET /images/sha256:/json
GET /images/sha256:xyz/json
GET /images/%20/json
GET /images/-/json
GET /images/odd-two/json?platform=x
GET /images/odd-two/json?platform={AMD64}
GET /images/odd-two/json?manifests=1
HEAD /images/odd-two/json

GET /images/odd-two/history
GET /images/{ONE.id[7:19]}/history
GET /images/{BARE.id}/history
GET /images/docker.io/library/odd-one:2/history
GET /images/127.0.0.1:5/odd/one:1/history
GET /images/odd-one/history
GET /images/odd-two:/history
GET /images/%20/history
GET /images/odd-two/history?platform=x
GET /images/odd-two/history?platform={AMD64}
HEAD /images/odd-two/history
"""
PULL = f"""
POST /images/create?fromImage=127.0.0.1:1/x
POST /images/create?fromImage=127.0.0.1:1/x:1
POST /images/create?fromImage=127.0.0.1:1/x:1&tag=2
POST /images/create?fromImage=127.0.0.1:1/x&tag={digest(b"x")}
POST /images/create?fromImage=127.0.0.1:1/x@{digest(b"x")}
POST /images/create?fromImage=127.0.0.1:1/x@{digest(b"x")}&tag=1
POST /images/create?fromImage=127.0.0.1:1/x:1@{digest(b"x")}
POST /images/create?fromImage=127.0.0.1:1/x@sha256:12
POST /images/create?fromImage=127.0.0.1:1/x&tag=sha256:12
POST /images/create?fromImage=127.0.0.1:1/x&fromSrc=-
POST /images/create?fromImage=127.0.0.1:1/x&repo=y&message=z&changes=NOPE
POST /images/create?fromImage=127.0.0.1:1/x&tag=-x
POST /images/create?fromImage=127.0.0.1:1/x&tag=a%20b
POST /images/create?fromImage=127.0.0.1:1/X
POST /images/create?fromImage=127.0.0.1:1/x/
POST /images/create?fromImage=127.0.0.1:1//x
POST /images/create?fromImage=http://127.0.0.1:1/x
POST /images/create?fromImage={"a" * 64}
POST /images/create?fromImage=scratch
POST /images/create?fromImage=%20
POST /images/create?fromImage=-
"""
WRITE = f"""
POST /images/odd-two/tag?repo=odd-tag
POST /images/odd-two/tag?repo=odd-tag&tag=
POST /images/odd-two/tag?repo=odd-tag:3
POST /images/odd-two/tag?repo=odd-tag:3&tag=4
POST /images/odd-two/tag?repo=docker.io/library/odd-tag&tag=5
POST /images/odd-two/tag?repo=index.docker.io/odd-tag&tag=6
POST /images/odd-two/tag?repo=127.0.0.1:5/odd-tag&tag=1
POST /images/odd-two/tag?repo=127.0.0.1:5/odd-tag:9
POST /images/odd-two/tag?repo=localhost/odd-tag
POST /images/{TWO.id}/tag?repo=odd-tag&tag=7
POST /images/{TWO.id[7:19]}/tag?repo=odd-tag&tag=8
POST /images/{TWO.id[:19]}/tag?repo=odd-tag&tag=9
POST /images/odd-one:1/tag?repo=odd-tag&tag=9
POST /images/odd-one/tag?repo=odd-tag&tag=9
POST /images/odd-two/tag?repo=odd-tag&tag={"t" * 128}
POST /images/odd-two/tag?repo=odd-tag&tag={"t" * 129}
POST /images/odd-two/tag?repo=odd-tag&tag=-x
POST /images/odd-two/tag?repo=odd-tag&tag=.x
POST /images/odd-two/tag?repo=odd-tag&tag=_x
POST /images/odd-two/tag?repo=odd-tag&tag=a:b
POST /images/odd-two/tag?repo=odd-tag&tag={digest(b"x")}
POST /images/odd-two/tag?repo={"a" * 64}
POST /images/odd-two/tag?repo={"a" * 255}
POST /images/odd-two/tag?repo={"a" * 256}
POST /images/odd-two/tag?repo=a//b
POST /images/odd-two/tag?repo=/a
POST /images/odd-two/tag?repo=a/
POST /images/odd-two/tag?repo=../a
POST /images/odd-two/tag?repo=a..b
POST /images/odd-two/tag?repo=a.b_c__d-e--f
POST /images/odd-two/tag?repo=a___b
POST /images/odd-two/tag?repo=http://a/b
POST /images/odd-two/tag?repo=a@b
POST /images/odd-two/tag?repo=odd%20tag
POST /images/odd-two/tag?repo=%C3%A9
POST /images/UPPER/tag?repo=x
POST /images/%20/tag?repo=x
POST /images/sha256:1234567890/tag?repo=x
GET /images/odd-two/json
DELETE /images/odd-tag?noprune=1
DELETE /images/odd-tag:3?force=0
DELETE /images/docker.io/library/odd-tag:5
DELETE /images/index.docker.io/odd-tag:6?force=x
DELETE /images/127.0.0.1:5/odd-tag:1?noprune=x
DELETE /images/127.0.0.1:5/odd-tag:9
DELETE /images/localhost/odd-tag:latest
DELETE /images/odd-tag:7
DELETE /images/odd-tag:8
DELETE /images/odd-tag:9
DELETE /images/odd-tag:9
DELETE /images/odd-tag:{"t" * 128}
DELETE /images/odd-tag:_x
DELETE /images/{"a" * 255}
DELETE /images/a.b_c__d-e--f
DELETE /images/odd-two@{digest(b"x")}
DELETE /images/{ONE.id[7:19]}
DELETE /images/{ONE.id}
DELETE /images/{"0" * 64}
DELETE /images/sha256:{"0" * 64}?force=1
DELETE /images/odd-two:
DELETE /images/-
GET /images/json?filters={{"label":["odd"]}}

POST /images/prune?filters={{"label":["odd=nope"]}}
POST /images/prune?filters={{"label":{{"odd=nope":true}}}}
POST /images/prune?filters={{"label":["odd=nope"],"dangling":["false"]}}
POST /images/prune?filters={{"label":["odd=nope"],"dangling":["0"],"until":["1h"]}}
POST /images/prune?filters={{"label":["odd"],"until":["2020-01-01"]}}
POST /images/prune?filters={{"label":["odd"],"until":["1600000000"]}}
POST /images/prune?filters={{"label!":["odd=","made=yes"],"label":["odd=nope"]}}
POST /images/prune?filters={{"label":["odd"],"dangling":[]}}
POST /images/prune?filters={{"label":["odd"],"until":["1h","2h"]}}
POST /images/prune?filters={{"label":["odd"],"before":["x"]}}
POST /images/prune?filters={{"label":["odd"],"reference":["x"]}}
POST /images/prune?filters=[]
POST /images/prune?filters={{"label":5}}
GET /images/json?filters={{"label":["odd"]}}
"""


@pytest.fixture(autouse=True)
def _images(both: Both) -> Iterator[None]:
    """Three images on both sides: of many names, of another machine, and of no name."""
    for made in ALL:
        both("POST", "/images/load?quiet=1", docker_archive(made))
    yield
    for made in ALL:
        both("DELETE", f"/images/{made.id}?force=1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("block", [b for text in (LIST, READ, PULL, WRITE) for b in blocks(text)], ids=name)
def test_asked(both: Both, block: list[Line], version: str) -> None:
    require(list(found(both, block, version)))
