"""HEAD, GET and PUT of a container's archive: the same as a real dockerd tells, gives and takes."""

import base64
import bz2
import gzip
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
import zstandard

from tests.peer.comparison import differences, judged, require, same
from tests.peer.ledger import VERSIONS, Request
from tests.peer.peer import Answer, Both
from tests.unix_http import Response, call

pytestmark = pytest.mark.root

OK = 200
STAT = "x-docker-container-path-stat"
APART = (STAT, "content-length", "transfer-encoding")
WORK = """
mkdir -p /d/sub /tgt; echo one > /d/f; ln -s f /d/l; ln -s /d /ld; ln -s nowhere /dangling; ln -s loop /loop
ln -s ../../../etc/passwd /d/up; mkfifo /d/p; chmod 4755 /d/f; chmod 1777 /d/sub; mknod /d/c c 1 3; ln /d/f /d/hard
echo x > /v/x; dd if=/dev/zero of=/d/big bs=1k count=700 2>/dev/null; chown 5:6 /d/hard
touch "/d/$(printf '%0120d' 1)" "/d/$(printf 'no-\\377-text')" /d/é
for each in /d/* /d/sub /d /v/x /tgt; do touch -h -d @1000000000 "$each"; done; touch /ready; sleep 1000
"""
PATHS = [
    "", "/d/f", "/d/nope", "/d/f/", "/d/f/x", "d", "/d/", "/d/.", "/d", "/ld", "/ld/", "/ld/.", "/dangling",
    "/dangling/", "/d/up", "/loop", "/loop/", "/d/c", "/d/p", "/d/../d/f", "x" * 300, "\0", "/proc", "/v", "/v/x",
    "/d/l/", "/d/sub", "/d/hard", "/d/" + "0" * 119 + "1", "/d/é",
]  # fmt: skip
HEADER = 512


def made(*entries: tuple[str, bytes, dict[str, Any]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of entries: name, type, and what else a header says, or "data"."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        for name, type_, more in entries:
            entry = tarfile.TarInfo(name)
            entry.type = type_
            entry.size = len(more.get("data", b""))
            for key, value in more.items():
                if key != "data":
                    setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(more.get("data", b"")))
    return packed.getvalue()


FILE, DIRECTORY, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
GOOD = made(("a", FILE, {"data": b"hi", "uid": 5, "gid": 6, "mode": 0o4640, "mtime": 1000000000}))
ALL = made(
    ("./", DIRECTORY, {"mode": 0o700, "uid": 9}),
    ("./t", DIRECTORY, {"mode": 0o1777, "mtime": 1000000000}),
    ("t/deep/er/f", FILE, {"data": b"deep"}),
    ("/abs/f", FILE, {"data": b"x"}),
    ("t/abs", LINK, {"linkname": "/etc"}),
    ("t/again", HARD, {"linkname": "t/deep/er/f"}),
    ("t/dev", tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3}),
    ("t/p", tarfile.FIFOTYPE, {}),
    (".wh.t", FILE, {}),
    ("t/" + "n" * 150, FILE, {"data": b"long"}),
    ("big-owner", FILE, {"uid": 3_000_000, "gid": 3_000_001}),
)
PUTS: dict[str, tuple[str, bytes]] = {
    "one file": ("/tgt", GOOD),
    "all kinds": ("/tgt", ALL),
    "nothing": ("/tgt", b""),
    "gzip": ("/tgt", gzip.compress(GOOD)),
    "bzip2": ("/tgt", bz2.compress(GOOD)),
    "xz": ("/tgt", lzma.compress(GOOD)),
    "zstd": ("/tgt", zstandard.compress(GOOD)),
    "through a link": ("/ld/", made(("put", FILE, {}))),
    "in a volume": ("/v", GOOD),
    "no path": ("", GOOD),
    "missing": ("/nope", GOOD),
    "a file": ("/d/f", GOOD),
    "a file/": ("/d/f/", GOOD),
    "below a file": ("/d/f/x", GOOD),
    "dangling": ("/dangling", GOOD),
    "a loop": ("/loop", GOOD),
    "garbage": ("/tgt", b"garbage"),
    "much garbage": ("/tgt", b"x" * 2000),
    "half a header": ("/tgt", GOOD[:300]),
    "a header alone": ("/d/sub", GOOD[:HEADER]),
    "half of gzip": ("/tgt", gzip.compress(GOOD)[:30]),
    "bad bzip2": ("/tgt", b"BZh9xxxxxxxxxxx"),
    "climbing": ("/tgt", made(("../x", FILE, {}))),
    "a hard link to outside": ("/tgt", made(("h", HARD, {"linkname": "../d/f"}))),
    "a hard link to nothing": ("/tgt", made(("h", HARD, {"linkname": "nope"}))),
    "of no kind": ("/tgt", made(("s", b"Z", {}))),
    "over a mount": ("/etc", made(("hosts", FILE, {}))),
    "a file for a directory, kept": ("/d&noOverwriteDirNonDir=true", made(("sub", FILE, {}))),
    "a directory for a file, kept": ("/d&noOverwriteDirNonDir=1", made(("f", DIRECTORY, {}))),
    "a directory for a directory, kept": ("/d&noOverwriteDirNonDir=1", made(("sub", DIRECTORY, {}))),
    "a directory for a file": ("/tgt&noOverwriteDirNonDir=0", made(("x", FILE, {}), ("x", DIRECTORY, {}))),
    "a file for a directory": ("/tgt", made(("y/z", FILE, {}), ("y", FILE, {"data": b"y"}))),
    "as nobody in particular": ("/tgt&copyUIDGID=true", GOOD),
}


@pytest.fixture(scope="module", autouse=True)
def copied(peer: Any, peer_wherryd: Any) -> Iterator[None]:
    """Containers of the same files on both sides: running, read-only, and never started."""
    host = {"NetworkMode": "none"}
    wanted: dict[str, dict[str, Any]] = {
        "peer-cp": {"Cmd": ["sh", "-c", WORK], "HostConfig": {**host, "Binds": ["peer-cp:/v"]}},
        "peer-ro": {
            "HostConfig": {**host, "ReadonlyRootfs": True, "Binds": ["peer-cp:/ro:ro", "peer-cp:/rw"]}
        },
        "peer-new": {"HostConfig": host, "User": "7:8"},
    }
    both = Both(peer_wherryd, peer)
    for side in (peer_wherryd, peer):
        for name, body in wanted.items():
            asked = {"Image": "busybox:latest", "Cmd": ["sleep", "1000"], **body}
            assert call(side.socket, "POST", f"/v1.45/containers/create?name={name}", asked).status == 201
        assert call(side.socket, "POST", "/v1.45/containers/peer-cp/start").status == 204
        while call(side.socket, "HEAD", "/v1.45/containers/peer-cp/archive?path=/ready").status != 200:
            pass
    yield
    for name in wanted:
        both("DELETE", f"/containers/{name}?force=1&v=1")
    both("DELETE", "/volumes/peer-cp")


def archive(path: str, name: str = "peer-cp") -> str:
    return f"/containers/{name}/archive?path={quote(path)}"


def asked(both: Both, method: str, path: str, version: str = "1.45") -> list[Response]:
    """Ask both for what has a file's facts in its head: fail on a difference of status, headers or message.

    Not compared here are those facts, archives, and how the body is framed.
    """
    answers = list(both.raw(method, path, version=version))
    bare = [
        replace(
            each,
            headers={key: value for key, value in each.headers.items() if key not in APART},
            body=b"" if each.status == OK else each.body,
        )
        for each in answers
    ]
    require(judged(Request.of(method, path, None, version, None), *map(Answer.of, bare)))
    return answers


def facts(answer: Response) -> Any:
    """What an answer tells of a file, but for times of this run; None where it tells nothing."""
    stat = json.loads(base64.b64decode(answer.headers.get(STAT, "bnVsbA==")))
    if stat and not stat["mtime"].startswith("2001"):
        del stat["mtime"]
    return stat


def members(packed: bytes) -> list[tuple[Any, ...]]:
    """An archive's entries in order, times of this run left out."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
        return [
            (
                each.name, each.type, oct(each.mode), each.uid, each.gid, each.size, each.linkname,
                each.devmajor, each.devminor, each.mtime if each.mtime == 1000000000 else None,
                sorted(each.pax_headers), opened.extractfile(each).read() if each.isreg() else b"",  # type: ignore[union-attr]
            )
            for each in opened
        ]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_stat(both: Both, version: str) -> None:
    for path in PATHS:
        ours, theirs = asked(both, "HEAD", archive(path), version)
        assert facts(ours) == facts(theirs), path


@pytest.mark.parametrize(
    "path", [path for path in PATHS if path != "/proc"], ids=lambda path: repr(path)[:20]
)
def test_get(both: Both, path: str) -> None:
    ours, theirs = asked(both, "GET", archive(path))
    assert facts(ours) == facts(theirs)
    if ours.status == OK:
        assert members(ours.body) == members(theirs.body)


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_get_of_other_versions(both: Both, version: str) -> None:
    for path in ("/d", "/d/f", "/v/x", "/nope", ""):
        ours, theirs = asked(both, "GET", archive(path), version)
        assert ours.status != OK or members(ours.body) == members(theirs.body)


def test_the_whole_root(both: Both) -> None:
    engine = ("/dev", "/proc", "/sys", "/etc", "/.dockerenv", "/ready")
    for path in ("/", "/../..", "."):
        ours, theirs = (
            {each[0]: each[1:] for each in members(answer.body) if not each[0].lstrip(".").startswith(engine)}
            for answer in asked(both, "GET", archive(path))
        )
        assert ours == theirs


@pytest.mark.parametrize(
    "accepted", ["gzip, deflate", "deflate;q=1, gzip;q=0", "*", "identity", "br", "gzip;q=x"]
)
def test_codings(both: Both, accepted: str) -> None:
    headers = {"Accept-Encoding": accepted}
    answers = both.raw("GET", archive("/d/f"), headers=headers)
    assert len({answer.headers.get("content-encoding") for answer in answers}) == 1
    for answer in answers:
        coding = answer.headers.get("content-encoding")
        window = {"gzip": 31, "deflate": -15}
        plain = _inflated(answer.body, window[coding]) if coding else answer.body
        assert members(plain)[0][0] == "f"


def _inflated(data: bytes, window: int) -> bytes:
    return zlib.decompressobj(window).decompress(data)


@pytest.mark.parametrize("what", PUTS)
def test_put(both: Both, what: str) -> None:
    path, body = PUTS[what]
    same(both, "PUT", f"/containers/peer-cp/archive?path={path}", body)
    if what not in ("a file for a directory, kept", "a directory for a file, kept"):
        ours, theirs = asked(both, "GET", archive("/tgt"))
        assert members(ours.body) == members(theirs.body)


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_put_of_other_versions(both: Both, version: str) -> None:
    require(
        [
            line
            for what in ("one file", "missing", "a file", "garbage", "climbing")
            for line in differences(
                both,
                "PUT",
                f"/containers/peer-cp/archive?path={PUTS[what][0]}",
                PUTS[what][1],
                version=version,
            )
        ]
    )


@pytest.mark.parametrize("path", ["/", "/etc", "/ro", "/rw"])
def test_put_where_it_is_read_only(both: Both, path: str) -> None:
    same(both, "PUT", archive(path, "peer-ro"), GOOD)


def test_of_a_container_that_never_started(both: Both) -> None:
    same(both, "PUT", archive("/tmp", "peer-new"), GOOD)
    ours, theirs = asked(both, "GET", archive("/tmp/a", "peer-new"))
    assert members(ours.body) == members(theirs.body)
    asked(both, "HEAD", archive("/nope", "peer-new"))


@pytest.mark.parametrize("name", ["nope", "a b"])
@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT"])
def test_no_such_container(both: Both, method: str, name: str) -> None:
    same(both, method, archive("/x", quote(name)), GOOD if method == "PUT" else None)
