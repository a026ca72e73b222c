"""diff, export and commit: the same as a real dockerd tells, writes and makes."""

import io
import json
import tarfile
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.comparison import same, same_head
from tests.peer.ledger import VERSIONS
from tests.peer.masks import mask
from tests.peer.peer import Both, shape
from tests.unix_http import call

pytestmark = pytest.mark.root

WORK = """
echo one > /new; rm /bin/vi; chmod 700 /var; mkdir -p /a/b; ln -s x /a/link; mknod /a/null c 1 3
mkfifo /a/fifo; ln /new /hard; ln /bin/busybox /a/busybox; echo more >> /etc/passwd
rm -r /root; mkdir /root; touch /root/x; mkdir /tmp/gone; rmdir /tmp/gone; echo x > "/a/$(printf 'no-\\377-text')"
dd if=/dev/zero of=/a/big bs=1k count=700 2>/dev/null; echo done
"""
REFUSED = [
    ("GET", "/containers/nope/changes"),
    ("GET", "/containers/nope/export"),
    ("POST", "/commit"),
    ("POST", "/commit?container="),
    ("POST", "/commit?container=nope"),
    ("POST", "/commit?container=peer-files&repo=UPPER"),
    ("POST", "/commit?container=peer-files&repo=x&tag=a%20b"),
    ("POST", "/commit?container=peer-files&repo=x%40sha256:" + "a" * 64),
    ("POST", "/commit?container=peer-files&changes=RUN%20x"),
    ("POST", "/commit?container=peer-files&changes=ENV%20A"),
]


def create(both: Both, name: str, command: list[str], **config: Any) -> None:
    for side in (both.wherryd, both.peer):
        body = {"Image": "busybox:latest", "Cmd": command, "HostConfig": {"NetworkMode": "none"}, **config}
        answer = call(side.socket, "POST", f"/v1.45/containers/create?name={name}", body)
        assert answer.status == 201, answer.body


def run(both: Both, name: str) -> None:
    both("POST", f"/containers/{name}/start")
    both("POST", f"/containers/{name}/wait")


@pytest.fixture
def files(both: Both) -> Iterator[None]:
    """A container peer-files on both sides that changed all kinds of files and ended."""
    create(both, "peer-files", ["sh", "-c", WORK])
    run(both, "peer-files")
    yield
    both("DELETE", "/containers/peer-files?force=1")


@pytest.mark.parametrize("request_", REFUSED, ids=" ".join)
def test_refused(both: Both, files: None, request_: tuple[str, str]) -> None:
    same(both, *request_)


def sorted_changes(answer: Any) -> list[tuple[str, int]]:
    return sorted((each["Path"], each["Kind"]) for each in answer.body)


@pytest.mark.parametrize("version", ["1.24", "1.40", "1.45"])
def test_changes(both: Both, files: None, version: str) -> None:
    ours, theirs = both("GET", "/containers/peer-files/changes", version=version)
    assert (ours.status, ours.headers) == (theirs.status, theirs.headers)
    # dockerd tells them in no order, but the files of a directory after it.
    assert sorted_changes(ours) == sorted_changes(theirs)
    assert ("/bin/vi", 2) in sorted_changes(ours)


def test_nothing_changed(both: Both) -> None:
    create(both, "peer-idle", ["true"])
    try:
        for _ in range(2):
            ours, theirs = both("GET", "/containers/peer-idle/changes")
            assert (ours.status, ours.body) == (theirs.status, theirs.body) == (200, None)
            run(both, "peer-idle")
    finally:
        both("DELETE", "/containers/peer-idle?force=1")


def test_what_was_made_to_mount_on(both: Both) -> None:
    """Places of the user's own mounts and the working directory are changes; the engine's own mounts are none."""
    host = {
        "NetworkMode": "none",
        "Binds": ["/tmp:/mnt/data/x", "/etc/hostname:/etc/some.conf", "/etc/hosts:/etc/hosts:ro"],
        "Tmpfs": {"/scratch": ""},
    }
    create(
        both,
        "peer-mounts",
        ["sh", "-c", "chmod 1777 /mnt"],
        HostConfig=host,
        WorkingDir="/work/dir",
        Tty=True,
    )
    try:
        run(both, "peer-mounts")
        ours, theirs = both("GET", "/containers/peer-mounts/changes")
        assert sorted_changes(ours) == sorted_changes(theirs)
        assert ("/mnt/data/x", 1) in sorted_changes(ours)
    finally:
        both("DELETE", "/containers/peer-mounts?force=1")


def entries(archive: bytes) -> dict[str, tuple[Any, ...]]:
    """Members by name, without what the engine puts into a root for itself, and times of this run."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {
            each.name: (
                each.type,
                oct(each.mode),
                each.uid,
                each.gid,
                each.size,
                each.devmajor,
                each.devminor,
            )
            for each in opened
            if each.name.split("/")[0] not in ("dev", "proc", "sys")
            and each.name not in ("etc/hosts", "etc/hostname", "etc/resolv.conf")
            and each.name != "./"
        }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("query", ["", "?x=1"])
def test_export(both: Both, files: None, version: str, query: str) -> None:
    ours, theirs = (
        entries(each) for each in same_head(both, f"/containers/peer-files/export{query}", version)
    )
    # Of two names of a file, the first is the file and the other one the link; we sort by bytes, as dockerd does.
    assert ours == theirs


def image_of(both: Both, query: str, body: bytes | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Commit on both sides; what the images say, ids and times masked."""
    found = []
    for side in (both.wherryd, both.peer):
        headers = {"Content-Type": "application/json"}
        answer = call(side.socket, "POST", f"/v1.45/commit?{query}", body, headers)
        assert answer.status == 201, answer.body
        image_id = answer.json["Id"]
        assert answer.json == {"Id": image_id}
        inspect = call(side.socket, "GET", f"/v1.45/images/{image_id}/json").body.decode()
        config = saved_config(side, image_id)
        call(side.socket, "DELETE", f"/v1.45/images/{image_id}?force=1")
        found.append({"inspect": json.loads(mask(inspect)), "config": json.loads(mask(json.dumps(config)))})
    return found[0], found[1]


def saved_config(side: Any, image_id: str) -> dict[str, Any]:
    archive = call(side.socket, "GET", f"/v1.45/images/{image_id}/get").body
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.extractfile(f"blobs/sha256/{image_id[7:]}")
        assert member is not None
        config: dict[str, Any] = json.load(member)
        return config


COMMITS = [
    ("container=peer-files&repo=peer-made&tag=1&author=me&comment=hi", None),
    ("container=peer-files", None),
    ("container=peer-files&changes=" + quote("ENV A=b") + "&changes=" + quote('CMD ["x","y"]'), b"null"),
    ("container=peer-files&pause=0", b"{}"),
    ("container=peer-files", b'{"Cmd":["other"],"Env":["B=c"],"Labels":{"l":"1"},"User":"1"}'),
    ("container=peer-files&changes=" + quote("LABEL a=b"), b'{"Entrypoint":["e"]}'),
]


@pytest.mark.parametrize(("query", "body"), COMMITS)
def test_commit(both: Both, files: None, query: str, body: bytes | None) -> None:
    ours, theirs = image_of(both, query, body)
    for field in ("RepoTags", "Parent", "Comment", "Author", "Architecture", "Os", "Size", "Config"):
        assert ours["inspect"][field] == theirs["inspect"][field], field
    for field in ("author", "architecture", "os", "container"):
        assert ours["config"].get(field) == theirs["config"].get(field), field
    last = [side["config"]["history"][-1] for side in (ours, theirs)]
    assert last[0] == last[1]
    assert shape(ours["config"]["rootfs"]) == shape(theirs["config"]["rootfs"])
    assert len(ours["config"]["rootfs"]["diff_ids"]) == len(theirs["config"]["rootfs"]["diff_ids"])


def test_commit_of_what_changed_nothing(both: Both) -> None:
    create(both, "peer-idle", ["true"])
    try:
        run(both, "peer-idle")
        ours, theirs = image_of(both, "container=peer-idle")
    finally:
        both("DELETE", "/containers/peer-idle?force=1")
    assert ours["config"]["history"][-1] == theirs["config"]["history"][-1]
    assert len(ours["config"]["rootfs"]["diff_ids"]) == len(theirs["config"]["rootfs"]["diff_ids"]) == 1


def test_events(both: Both) -> None:
    """The same actions with the same attributes; a running container is paused while it is committed."""
    create(both, "peer-told", ["sleep", "1000"], Labels={"a": "b"})
    both("POST", "/containers/peer-told/start")
    both("GET", "/containers/peer-told/export")
    both("POST", "/commit?container=peer-told&repo=peer-committed&comment=c")
    filters = quote(json.dumps({"container": ["peer-told"]}))
    told = [events(side, filters) for side in (both.wherryd, both.peer)]
    both("DELETE", "/containers/peer-told?force=1")
    both("DELETE", "/images/peer-committed")
    # It goes on as soon as its files are read; with dockerd only once the image is made of them.
    assert sorted(told[0], key=_action) == sorted(told[1], key=_action)
    assert [action for action, _ in told[0]][-4:] == ["export", "pause", "unpause", "commit"]


def events(side: Any, filters: str) -> list[tuple[str, dict[str, str]]]:
    target = f"/v1.45/events?since=0&until={int(time.time()) + 1}&filters={filters}"
    lines = call(side.socket, "GET", target).body.splitlines()
    found = [json.loads(mask(line.decode())) for line in lines]
    return [(each["Action"], each["Actor"]["Attributes"]) for each in found]


def _action(event: tuple[str, dict[str, str]]) -> str:
    return event[0]
