"""Imports and commits: what is changed on the way, what the image is called, and what a commit is told."""

import json
from urllib.parse import quote

import pytest

from tests.integration.images.archives import digest, tar
from tests.peer.comparison import JSON, differences, require
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n"})
CHANGES = [
    ["CMD a b"],
    ['CMD ["a","b"]', 'ENTRYPOINT ["e"]'],
    ["ENTRYPOINT a b", "CMD []"],
    ["ENV A=b C=d", "ENV E f g", "ENV A=z"],
    ["EXPOSE 80 443/udp 8000-8002"],
    ["LABEL a=b c='d e'", "LABEL x y"],
    ["VOLUME /a /b", 'VOLUME ["/c"]'],
    ["WORKDIR /a", "WORKDIR b", "USER 1:2"],
    ["STOPSIGNAL 9", "HEALTHCHECK NONE"],
    ["HEALTHCHECK --interval=5s --timeout=1s --start-period=2s --retries=3 CMD a b"],
    ["ONBUILD RUN x"],
    ['SHELL ["a","b"]'],
    ["cmd a", "  USER  x  "],
    ["CMD a\nUSER b"],
    ["# a comment"],
    [""],
    ["CMD"],
    ["ENV"],
    ["ENV A"],
    ["EXPOSE x"],
    ["EXPOSE 99999"],
    ["WORKDIR"],
    ["USER"],
    ["VOLUME"],
    ["LABEL"],
    ["LABEL a"],
    ["STOPSIGNAL nope"],
    ["HEALTHCHECK"],
    ["HEALTHCHECK --interval=x CMD a"],
    ["ONBUILD FROM x"],
    ["ONBUILD"],
    ["FROM x"],
    ["COPY a b"],
    ["NOPE x"],
    ["MAINTAINER me"],
    ["ARG a"],
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_changes_of_an_import(both: Both, changes: list[str]) -> None:
    query = "".join(f"&changes={quote(change)}" for change in changes)
    told = differences(both, "POST", f"/images/create?fromSrc=-&repo=peer-body&tag=1{query}", ROOTFS)
    told += differences(both, "GET", f"/images/peer-body:1/json?{query}")
    both("DELETE", "/images/peer-body:1")
    require(told)


NAMES = [
    "repo=peer-body:1",
    "repo=peer-body:1&tag=2",
    "repo=docker.io/library/peer-body&tag=1",
    "repo=127.0.0.1:5/peer-body",
    "tag=1",
    "repo=&tag=",
    "repo=peer-body&tag=" + digest(b"x"),
    "repo=peer-body@" + digest(b"x"),
    "repo=peer-body&tag=1:2",
    "repo=peer-body/",
    "repo=peer-body&tag=1&message=a%20b&message=c",
    "repo=peer-body&tag=1&platform=linux/arm/v7",
    "repo=peer-body&tag=1&platform=linux",
    "repo=peer-body&tag=1&platform=arm64",
    "repo=peer-body&tag=1&platform=windows/amd64",
    "repo=peer-body&tag=1&platform=nope",
    "repo=peer-body&tag=1&platform=",
    "repo=peer-body&tag=1&x=y",
]


@pytest.mark.parametrize("version", VERSIONS)
def test_ways_to_ask_for_an_import(both: Both, version: str) -> None:
    told = []
    for query in NAMES:
        told += differences(both, "POST", f"/images/create?fromSrc=-&{query}", ROOTFS, version=version)
        told += differences(both, "GET", f"/images/peer-body:1/json?{query}", version=version)
        both("DELETE", "/images/peer-body:1")
    for name in ("peer-body:2", "127.0.0.1:5/peer-body", "peer-body"):
        both("DELETE", f"/images/{name}")
    _drop_unnamed(both)
    require(told)


def _drop_unnamed(both: Both) -> None:
    filters = quote(json.dumps({"dangling": ["true"]}))
    for socket in (both.wherryd.socket, both.peer.socket):
        for image in call(socket, "GET", f"/v1.45/images/json?filters={filters}").json:
            call(socket, "DELETE", f"/v1.45/images/{image['Id']}?force=1")


COMMITS: list[tuple[str, bytes | None, dict[str, str]]] = [
    ("repo=peer-body&tag=1", None, {}),
    ("repo=peer-body:1&tag=2", None, {}),
    ("repo=peer-body&tag=1&comment=a%20b&author=c%20%3Cd%3E&pause=1", None, JSON),
    ("repo=peer-body&tag=1&pause=x", b"", JSON),
    ("repo=peer-body&tag=1&changes=CMD%20x&changes=USER%20y", b"{}", JSON),
    ("repo=peer-body&tag=1&changes=CMD%20x%0AUSER%20z", b"{}", JSON),
    ("repo=peer-body&tag=1", b'{"Cmd":["x"],"Hostname":"h","Labels":{"a":"b"},"ExposedPorts":{"1/tcp":{}}}', JSON),
    ("repo=peer-body&tag=1", b'{"Cmd":"x"}', JSON),
    ("repo=peer-body&tag=1", b'{"Entrypoint":[]}', JSON),
    ("repo=peer-body&tag=1", b'{"Env":["A=b","A=c"],"Volumes":{"/v":{}}}', JSON),
    ("repo=peer-body&tag=1", b"{", JSON),
    ("repo=peer-body&tag=1", b'{"Cmd":5}', JSON),
    ("repo=peer-body&tag=1", b"[]", JSON),
    ("repo=peer-body&tag=1", b"null", JSON),
    ("repo=peer-body&tag=1", b"{}", {"Content-Type": "text/plain"}),
    ("repo=peer-body&tag=1", b"{} {}", JSON),
    ("repo=UPPER", b"{}", JSON),
    ("repo=&tag=1", b"{}", JSON),
    ("repo=peer-body&tag=-", b"{}", JSON),
    ("repo=peer-body&tag=1&changes=FROM%20x", b"{}", JSON),
    ("repo=peer-body&tag=1&changes=NOPE", b"{}", JSON),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_commit(both: Both, version: str) -> None:
    create = {"Image": "busybox", "Cmd": ["true"], "Labels": {"of": "container"}, "Env": ["A=1"]}
    both("POST", "/containers/create?name=peer-body", create, headers=JSON)
    told = []
    for query, body, headers in COMMITS:
        path = f"/commit?container=peer-body&{query}"
        told += differences(both, "POST", path, body, version=version, headers=headers or None)
        shown = f"/images/peer-body:1/json?{quote((body or b'').decode())}"
        told += differences(both, "GET", shown, version=version)
        both("DELETE", "/images/peer-body:1")
    both("DELETE", "/images/peer-body:2")
    both("DELETE", "/containers/peer-body?force=1")
    _drop_unnamed(both)
    require(told)
