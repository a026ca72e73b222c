"""The benchmark's readers of bytes and trees: frames, chunks, netlink, whose child is whose; and the README's part."""

import struct

import pytest

from tests.bench.client import WrongSample, body_of, demultiplexed
from tests.bench.equality import mounts
from tests.bench.groups.cpu import Genealogy
from tests.bench.report import written_in
from tests.bench.taskstats import Ended, attribute, attributes, parse


def test_frames_lose_their_heads() -> None:
    frames = b"\1\0\0\0\0\0\0\3abc" + b"\2\0\0\0\0\0\0\0" + b"\1\0\0\0\0\0\0\2de"
    assert demultiplexed(frames) == b"abcde"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_bodies_are_put_together() -> None:
    assert body_of([CHUNKED + b"3\r\na\r\n\r\nA", b"\r\n0123456789\r\n0\r\n\r\n"]) == b"a\r\n0123456789"
    assert body_of([b"HTTP/1.1 200 OK\r\n\r\nabc", b"d"]) == b"abcd"


@pytest.mark.parametrize("answer", [CHUNKED + b"3\r\nabc\r\n", b"HTTP/1.1 404 Not Found\r\n\r\nno"])
def test_a_body_that_breaks_off_or_is_an_error_is_wrong(answer: bytes) -> None:
    with pytest.raises(WrongSample):
        body_of([answer])


def ended(process: int, parent: int, comm: str, cpu: int) -> bytes:
    stats = bytearray(400)
    struct.pack_into("=Q", stats, 72, cpu)
    struct.pack_into("=32s", stats, 80, comm.encode())
    struct.pack_into("=II", stats, 128, process + 1, parent)
    struct.pack_into("=I", stats, 368, process)
    told = attribute(4, attribute(1, struct.pack("=I", process + 1)) + attribute(3, bytes(stats)))
    return struct.pack("=IHHII", 20 + len(told), 31, 0, 0, 0) + struct.pack("=BBH", 2, 1, 0) + told


def test_attributes_are_padded() -> None:
    assert attributes(attribute(1, b"abcde") + attribute(2, b"")) == {1: b"abcde", 2: b""}


def test_ends_of_tasks_are_parsed() -> None:
    datagram = ended(7, 5, "runc", 1234) + ended(9, 7, "runc:[2:INIT]", 5)
    assert list(parse(datagram)) == [Ended(7, 5, "runc", 1234), Ended(9, 7, "runc:[2:INIT]", 5)]


def test_whose_cpu_it_is() -> None:
    daemon, shim = 10, 20
    tasks = [
        Ended(22, 21, "runc:[1:CHILD]", 1 << 30),  # it ends before its parent
        Ended(21, shim, "runc", 2 << 30),
        Ended(23, 21, "dockerd", 4 << 30),
        Ended(shim, 1, "containerd-shim", 8 << 30),
        Ended(30, daemon, "containerd-shim", 16 << 30),
        Ended(31, daemon, "iptables", 32 << 30),
        Ended(daemon, 1, "dockerd", 64 << 30),
        Ended(40, 41, "runc", 128 << 30),
        Ended(41, 1, "stranger", 256 << 30),
    ]
    shares = Genealogy(frozenset({daemon}), frozenset({shim})).shares(tasks)
    unit = (1 << 30) / 1e9
    found = {kind: round(share / unit) for kind, share in shares.items()}
    assert found == {"runc": 3, "shim": 24, "daemon": 36, "client": 0}


def test_the_readme_gets_its_part() -> None:
    readme = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n"
    assert written_in(readme, "new") == "a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n"
    with pytest.raises(ValueError, match="no <!-- bench -->"):
        written_in("a\n<!-- bench -->\n", "new")


def mountinfo(root: str, container: str, options: str = "rw,relatime") -> str:
    return (
        f"909 863 0:282 / / {options} - overlay overlay rw,upperdir=/tmp/{root}/data\n"
        f"926 909 254:0 /tmp/{root}/containers/{container}/hosts /etc/hosts {options} - ext4 /dev/vda rw\n"
        f"919 914 0:33 /docker/{container} /sys/fs/cgroup/devices ro - cgroup cgroup rw,devices\n"
    )


def test_mounts_are_the_same_whose_daemon_is_another() -> None:
    ours = mounts(mountinfo("wherry-1", "a1"), "a1", "wherry-1")
    assert ours == mounts(mountinfo("peer-22", "b2"), "b2", "peer-22")
    assert ours[1] == ("/etc/hosts", "hosts", "rw,relatime", "ext4", "")
    assert ours[2][1] == "/docker/<id>"


def test_mounts_differ_by_their_options_and_by_what_they_show() -> None:
    ours = mounts(mountinfo("wherry-1", "a1"), "a1", "wherry-1")
    assert ours != mounts(mountinfo("peer-22", "b2", "ro"), "b2", "peer-22")
    assert ours != mounts(mountinfo("peer-22", "b2"), "other", "peer-22")
