"""Whose subordinate ids containers get: accounts of this host, ranges of the test's own."""

import asyncio
from pathlib import Path

import pytest

import errdefs
from engine import userns_remap
from runtime.spec.identity import HOST, Identity, IdRange


def identity_of(setting: str) -> Identity:
    return asyncio.run(userns_remap.identity_of(setting))


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(userns_remap, "ETC", tmp_path)
    return tmp_path


@pytest.mark.parametrize("setting", ["nobody", "65534", "nobody:root", "65534:0", "nobody:0"])
def test_the_ranges_are_those_of_the_user(etc: Path, setting: str) -> None:
    (etc / "subuid").write_text("# mine\n\nnobody:100000:1000\nother:1:2\n65534:300000:64536\nnobody:5:0\n")
    (etc / "subgid").write_text("nobody:200000:65536\n")
    expected = Identity(
        uids=(IdRange(0, 100000, 1000), IdRange(1000, 300000, 64536)), gids=(IdRange(0, 200000, 65536),)
    )
    if setting in ("nobody", "65534"):  # the group of the same name or number is another's on some hosts
        setting += ":root"
    assert identity_of(setting) == expected


def test_none_and_root_are_the_hosts(etc: Path) -> None:
    assert identity_of("") == identity_of("root") == HOST


@pytest.mark.parametrize(
    ("setting", "ranges", "text"),
    [
        ("nosuch", "", 'error during uid lookup for "nosuch": no matching entries in passwd file'),
        ("4242", "", "uid 4242 has no entry in /etc/passwd"),
        ("nobody:nosuch", "", 'error during gid lookup for "nosuch": no matching entries in group file'),
        ("nobody:4242", "", "gid 4242 has no entry in /etc/group"),
        ("a:b:c", "", 'invalid user/group specification in --userns-remap: "a:b:c"'),
        ("nobody:root", "other:1:2\n", 'no subuid ranges found for user "nobody": add a line'),
        ("nobody:root", "\nnobody:1\n", "line 2: must be formatted account:first:count: nobody:1"),
        ("nobody:root", "nobody:-1:5\n", "line 1: must be formatted"),
        ("nobody:root", "nobody:1:1\n" * 340, "has more than 339 ranges for nobody"),
    ],
)
def test_what_cannot_be(etc: Path, setting: str, ranges: str, text: str) -> None:
    (etc / "subuid").write_text(ranges)
    with pytest.raises(errdefs.InvalidArgument) as refusal:
        identity_of(setting)
    assert text in refusal.value.message


def test_files_that_are_not_there(etc: Path) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="no subuid ranges found"):
        identity_of("nobody:root")
