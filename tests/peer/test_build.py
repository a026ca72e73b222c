"""Builds of the classic API: the streams, and what the images are, as a real dockerd has them."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.integration.images.archives import tar
from tests.peer.comparison import OLD, differences, require, same_values
from tests.peer.ledger import Request
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

TAR = {"Content-Type": "application/x-tar"}
Asked = dict[str, Any]

STREAMS: dict[str, tuple[Asked, str]] = {
    "all": (
        {"t": ["peer-built:1", "peer-built:2"]},
        """ARG X=1
FROM busybox AS one
ENV A=b
RUN echo hi
RUN echo err >&2
WORKDIR /w
COPY f /f
CMD ["sh"]
FROM one
RUN true
""",
    ),
    "failing": ({}, "FROM busybox\nRUN echo out; exit 3\nRUN true\n"),
    "failing and removed": ({"forcerm": 1}, "FROM busybox\nRUN exit 3\n"),
    "kept": ({"rm": 0}, "FROM busybox\nRUN echo kept\n"),
    "quiet": ({"q": 1}, "FROM busybox\nRUN echo quiet\n"),
    "failing quietly": ({"q": 1}, "FROM busybox\nRUN echo hello; false\n"),
    "missing": ({}, "FROM busybox\nCOPY nope /x\n"),
    "missing in a stage": ({}, "FROM busybox AS a\nFROM busybox\nCOPY --from=a /nope /x\n"),
    "nothing": ({}, "FROM scratch\n"),
    "next to nothing": ({}, "FROM scratch\nENV A=b\n"),
    "a base alone": ({"t": "peer-built:base"}, "FROM busybox\n"),
    "arguments": (
        {"buildargs": '{"X":"1","Y":null,"HTTP_PROXY":"x"}', "labels": '{"l":"v","a":"b c"}'},
        "FROM busybox\nARG Y\nRUN echo [$Y] $HTTP_PROXY\n",
    ),
    "a target": ({"target": "a"}, "FROM busybox AS a\nENV Z=1\nFROM busybox AS b\nRUN false\n"),
    "no registry": ({}, "FROM localhost:1/nosuch\n"),
    "triggers": ({"t": "peer-built:on"}, "FROM busybox\nONBUILD RUN echo trig\nONBUILD ENV Q=1\n"),
    "triggered": ({}, "FROM peer-built:on\nCMD x\n"),
    "no network": ({"networkmode": "none"}, "FROM busybox\nRUN ls /sys/class/net #none\n"),
    "an unknown network": ({"networkmode": "nope"}, "FROM busybox\nRUN true #nope\n"),
    "another's network": ({"networkmode": "container:xyz"}, "FROM busybox\nRUN true #xyz\n"),
    "hosts": (
        {"extrahosts": ["foo:1.2.3.4", "bar:5.6.7.8"]},
        "FROM busybox\nRUN grep -E 'foo|bar' /etc/hosts\n",
    ),
    "limits": (
        {
            "memory": 64 << 20,
            "memswap": -1,
            "cpushares": 512,
            "cpuperiod": 100000,
            "cpuquota": 50000,
            "cpusetcpus": "0",
            "shmsize": 1 << 20,
            "ulimits": '[{"Name":"nofile","Soft":100,"Hard":200}]',
        },
        "FROM busybox\nRUN echo $(df /dev/shm | tail -1) $(ulimit -n) $(nproc)\n",
    ),
    "no number": ({"memory": "x"}, "FROM busybox\nRUN true #x\n"),
    "cached": ({"t": "peer-built:cached"}, "FROM busybox\nENV FOO=bar\nRUN touch baz\nRUN touch bax\n"),
    "from a cache": (
        {"cachefrom": '["peer-built:cached"]'},
        "FROM busybox\nENV FOO=bar\nRUN touch baz\nRUN touch bax\n",
    ),
    "from no cache": ({"cachefrom": '["nosuch"]'}, "FROM busybox\nENV FOO=bar\nRUN touch baz\n"),
    "without cache": ({"nocache": 1}, "FROM busybox\nENV FOO=bar\nRUN touch baz\n"),
}
"""Told alike to the letter, but for ids: the query, and the Dockerfile."""

REFUSED: dict[str, tuple[Asked, dict[str, bytes]]] = {
    "no Dockerfile": ({}, {"other": b"x"}),
    "not that Dockerfile": ({"dockerfile": "sub/D"}, {"Dockerfile": b"FROM busybox\n"}),
    **{
        f"a Dockerfile outside: {path!r}": ({"dockerfile": path}, {"Dockerfile": b"FROM busybox\n"})
        for path in ("../../x", "/../x", "a/../../x", "..", "x\0y")
    },
    "a Dockerfile from above": ({"dockerfile": "/etc/passwd"}, {"Dockerfile": b"FROM busybox\n"}),
    "an empty Dockerfile": ({}, {"Dockerfile": b""}),
    "a Dockerfile of comments": ({}, {"Dockerfile": b"# x\n"}),
    "an unknown instruction": ({}, {"Dockerfile": b"FROM busybox\nFOO bar\n"}),
    "no FROM": ({}, {"Dockerfile": b"RUN x\n"}),
    "one word": ({}, {"Dockerfile": b"FROM busybox\nENV A\n"}),
    "another escape": ({"dockerfile": "D"}, {"D": b"# escape=x\nFROM busybox\n"}),
    **{
        f"no such target: {target}": ({"target": target}, {"Dockerfile": b"FROM busybox AS a\n"})
        for target in ("nope", "b", "0")
    },
    **{
        f"{name}={value}": ({name: value}, {"Dockerfile": b"FROM busybox\n"})
        for name, value in (
            ("t", "A:1"),
            ("t", "a@sha256:" + "0" * 64),
            ("buildargs", "x"),
            ("labels", "[]"),
            ("cachefrom", "x"),
            ("ulimits", "x"),
            ("shmsize", "x"),
            ("squash", "1"),
            ("version", "3"),
            ("isolation", "foo"),
            ("isolation", "hyperv"),
            ("securityopt", "x"),
            ("remote", "client-session"),
            ("remote", "foo"),
        )
    },
}


@pytest.fixture(scope="module", autouse=True)
def _swept(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    """No step is done already by a build of other tests: wherry keeps steps when their images are gone."""
    call(peer_wherryd.socket, "POST", "/v1.45/build/prune?all=1")
    yield
    for side in (peer_wherryd, peer):
        side.docker("container", "prune", "-f")  # dockerd leaves those of steps that failed
        side.docker("image", "prune", "-f")
        listed = call(side.socket, "GET", "/v1.45/images/json").json
        names = [name for image in listed for name in image["RepoTags"] if name.startswith("peer-built:")]
        for name in sorted(names, reverse=True):
            side.docker("rmi", name)
        call(side.socket, "POST", "/v1.45/build/prune?all=1")


def build(query: Asked) -> str:
    """The path of a build."""
    return "/build?" + urlencode(query, doseq=True)


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_streams(both: Both, case: str) -> None:
    query, dockerfile = STREAMS[case]
    context = tar({"Dockerfile": dockerfile.encode(), "f": b"hello\n"})
    require(differences(both, "POST", build(query), context, headers=TAR))


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refusals(both: Both, case: str) -> None:
    query, files = REFUSED[case]
    require(differences(both, "POST", build(query), tar(files), headers=TAR))


AT_A_STEP = (
    "FROM busybox AS a\nENV A=1\nCOPY --from=1 /bin/sh /x\nFROM busybox AS b\n",
    "FROM busybox AS a\nCOPY --from=0 /bin/sh /x\n",
    "FROM busybox\nCOPY --from=scratch f /x\n",
    "FROM busybox\nCOPY --from=A!B f /x\n",
    "ARG X\nFROM busybox\nFROM $X\n",
    "FROM busybox\nENV A=1\nFROM UPPER\n",
    "FROM busybox\nRUN --mount=type=cache,target=/c true\n",
    "FROM busybox\nADD --chmod=755 f /f\n",
    "FROM busybox\nSTOPSIGNAL FOO\n",
    "FROM busybox\nENV B=${C:?no}\n",
    "FROM busybox\nWORKDIR $NOPE\n",
    "FROM busybox\nVOLUME $NOPE\n",
    "FROM busybox\nCOPY ../f /f\n",
    "FROM busybox\nADD /d/../../f /f\n",
    "FROM busybox AS a\nFROM busybox\nCOPY --from=a ../bin/sh /f\n",
    "FROM busybox\nCOPY http://x/y /f\n",
    "FROM busybox\nADD http://127.0.0.1:1/x /f\n",
)
"""What cannot be, at the step that says so."""


@pytest.mark.parametrize("dockerfile", AT_A_STEP)
def test_refusals_at_a_step(both: Both, dockerfile: str) -> None:
    """Told in the stream, with the step: dockerd has done those before it by then."""
    context = tar({"Dockerfile": dockerfile.encode(), "f": b"x"})
    told = []
    for answer in both.raw("POST", build({}), context, headers=TAR):
        assert answer.status == 200, answer.body
        messages = [json.loads(line) for line in answer.body.splitlines()]
        steps = [each["stream"] for each in messages if each.get("stream", "").startswith("Step ")]
        told.append((steps[-1], messages[-1]))
    assert told[0] == told[1]


OLD_QUERIES: tuple[Asked, ...] = (
    *({}, {"platform": "linux/amd64"}, {"q": 1}),
    *({"target": "nope"}, {"labels": "x"}),
)


@pytest.mark.parametrize("version", OLD)
def test_old_versions(both: Both, version: str) -> None:
    """Images are named by messages of their own since 1.30, platforms are read since 1.32."""
    told: list[str] = []
    for number, query in enumerate(OLD_QUERIES):
        dockerfile = f"FROM busybox\nENV V={version} N={number}\n"
        context = tar({"Dockerfile": dockerfile.encode()})
        told += differences(both, "POST", build(query), context, version=version, headers=TAR)
    require(told)


@pytest.mark.parametrize("version", [*OLD, "1.45"])
def test_cancel(both: Both, version: str) -> None:
    told: list[str] = []
    for query in ("?id=x", "?id=y", "?id=x&id=y", "", "?id="):
        told += differences(both, "POST", f"/build/cancel{query}", version=version)
    require(told)


IMAGES = {
    "everything": """FROM busybox
MAINTAINER me <me@example.org>
ARG A=1
ENV B=2 C="x y"
ENV B=3
LABEL l=v "m n"='o p'
RUN echo $A $B
WORKDIR /a
WORKDIR b
USER 1000:1000
EXPOSE 80 443/udp 8000-8002
VOLUME /v /w
VOLUME ["/x y"]
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --timeout=1s --retries=3 CMD a b
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN x
ENTRYPOINT ["e", "f"]
CMD ["c", "d"]
""",
    "shell forms": "FROM busybox\nENTRYPOINT exec e $X\nCMD c d\nHEALTHCHECK NONE\n",
    "an argument of RUN": 'FROM busybox\nARG A=1\nRUN echo $A > /a\nRUN ["sh", "-c", "echo $A"]\n',
    "files": "FROM busybox\nCOPY f /f\nADD f /g/\nCOPY --chown=1:2 f g d/\n",
    "stages": 'FROM busybox AS a\nENV IN=a\nRUN echo 1 > /one\nFROM scratch\nCOPY --from=a /one /two\nCMD ["x"]\n',
}


@pytest.mark.parametrize("case", IMAGES, ids=str)
def test_images(both: Both, case: str) -> None:
    """Config and history, field by field."""
    context = tar({"Dockerfile": IMAGES[case].encode(), "f": b"hello\n", "g": b"hi\n"})
    path = build({"t": "peer-built:image", "labels": '{"z":"y"}'})
    require(differences(both, "POST", path, context, headers=TAR))
    request = Request.of("POST", path, None, "1.45", None)
    same_values(request, *(_described(side.socket) for side in (both.wherryd, both.peer)))


def _described(socket: Any) -> dict[str, Any]:
    image = call(socket, "GET", "/v1.45/images/peer-built:image/json").json
    history = call(socket, "GET", "/v1.45/images/peer-built:image/history").json
    image["Config"].pop("Image")
    return {
        **{
            name: image.get(name)
            for name in ("Config", "Architecture", "Os", "Author", "Comment", "RepoTags")
        },
        "history": [_step(each) for each in history],
    }


def _step(step: dict[str, Any]) -> dict[str, Any]:
    """A line of the history, but for what is a name of content."""
    words = [
        f"{kind}:<digest>" if (kind := word.partition(":")[0]) in ("file", "dir", "multi") else word
        for word in step["CreatedBy"].split(" ")
    ]
    return {"CreatedBy": " ".join(words), "Comment": step["Comment"], "layer": step["Size"] > 0}


def test_the_last_message_has_the_image(both: Both) -> None:
    for side in (both.wherryd, both.peer):
        context = tar({"Dockerfile": b"FROM busybox\nENV LAST=1\n"})
        answer = call(side.socket, "POST", "/v1.45/build?t=peer-built:last", context, TAR)
        lines = [json.loads(line) for line in answer.body.splitlines()]
        (told,) = [line["aux"]["ID"] for line in lines if "aux" in line]
        assert call(side.socket, "GET", "/v1.45/images/peer-built:last/json").json["Id"] == told
