"""The order, the options and the propagation of mounts."""

import pytest

from errdefs import InvalidArgument
from runtime.spec import mounts, propagation
from runtime.spec.mounts import Bind, Tmpfs, merge_tmpfs_options

BASE = ["noexec", "nosuid", "nodev", "rprivate"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], BASE),
        (["exec"], ["nosuid", "nodev", "rprivate", "exec"]),
        (["size=1m", "size=2m", "defaults"], [*BASE, "size=2m"]),
        (["rshared", "ro"], ["noexec", "nosuid", "nodev", "rshared", "ro"]),
        (["noatime", "atime"], [*BASE, "atime"]),
    ],
)
def test_tmpfs_options(options: list[str], expected: list[str]) -> None:
    assert merge_tmpfs_options([*BASE, *options]) == expected


@pytest.mark.parametrize("option", ["nope", "nope=1", "size", "lowerdir=/"])
def test_unknown_tmpfs_options(option: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid tmpfs option"):
        merge_tmpfs_options([option])


def test_parents_come_before_children() -> None:
    given = ["/a/b/c", "/x", "/a", "/a/b/", "/"]
    ordered = mounts.sort(Tmpfs(destination=path) for path in given)
    assert [mount.destination for mount in ordered] == ["/", "/x", "/a", "/a/b/", "/a/b/c"]


def test_a_user_mount_replaces_a_default() -> None:
    entries = mounts.assemble(mounts.default_mounts(None), [Bind(source="/s", destination="/sys")])
    assert [entry["destination"] for entry in entries].count("/sys") == 1
    assert entries[-1] == {
        "destination": "/sys",
        "type": "bind",
        "source": "/s",
        "options": ["rbind", "rprivate"],
    }


def test_a_user_dev_takes_its_children_away() -> None:
    entries = mounts.assemble(mounts.default_mounts(1), [Tmpfs(destination="/dev")])
    assert [e["destination"] for e in entries if e["destination"].startswith("/dev")] == ["/dev"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a", "/a"), ("a/", "/a"), ("//a//b/./c/..", "/a/b"), ("/../../etc", "/etc"), ("", "/"), ("///", "/")],
)
def test_clean(path: str, expected: str) -> None:
    assert mounts.clean(path) == expected
    assert mounts.to_oci(Tmpfs(destination=path))["destination"] == expected


def test_a_default_is_covered_however_its_path_is_written() -> None:
    entries = mounts.assemble(mounts.default_mounts(None), [Tmpfs(destination="//sys/../sys/")])
    assert [entry["destination"] for entry in entries].count("/sys") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ""),
        (["private", "rprivate", ""], ""),
        (["slave"], "rslave"),
        (["rslave", "shared"], "shared"),
        (["rshared"], "shared"),
    ],
)
def test_the_root_propagates_as_its_mounts_need(words: list[str], expected: str) -> None:
    binds = [Bind(source="/s", destination=f"/{i}", propagation=word) for i, word in enumerate(words)]
    assert mounts.rootfs_propagation([*binds, Tmpfs(destination="/t")]) == expected


MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /with\\040space rw - tmpfs tmpfs rw
24 22 0:6 / /slave rw master:3 - tmpfs tmpfs rw
25 22 0:7 / /both rw - tmpfs tmpfs rw
26 25 0:8 / /both rw shared:4 master:2 - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("source", "word", "refused_as"),
    [
        ("/home", "rshared", ""),
        ("/with space/x", "shared", "mounted on /with space but it is not a shared mount"),
        ("/with space", "rprivate", ""),
        ("/with space", "rslave", "not a shared or slave mount"),
        ("/slave", "slave", ""),
        ("/slave", "rshared", "not a shared mount"),
        ("/slavery", "rshared", ""),
        ("/both/x", "shared", ""),
    ],
)
def test_propagation_needs_the_hosts_mount(source: str, word: str, refused_as: str) -> None:
    if not refused_as:
        propagation.check(source, word, MOUNTINFO)
        return
    with pytest.raises(InvalidArgument, match=refused_as):
        propagation.check(source, word, MOUNTINFO)
