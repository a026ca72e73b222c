"""Names of git repositories."""

import pytest

from engine.build.contexts.repository import Repository, parse, redacted
from engine.build.contexts.url import file_name
from errdefs import InvalidArgument

NAMES = {
    "https://github.com/a/b.git": Repository(remote="https://github.com/a/b.git"),
    "https://github.com/a/b.git#main": Repository(remote="https://github.com/a/b.git", ref="main"),
    "https://host/a.git#a/b:c/d": Repository(remote="https://host/a.git", ref="a/b", subdirectory="c/d"),
    "https://host/a.git#:../../c": Repository(remote="https://host/a.git", subdirectory="c"),
    "https://u:p%40@host:1/a.git": Repository(remote="https://host:1/a.git", authorization=("u", "p@")),
    "git://host/a": Repository(remote="git://host/a"),
    "ssh://git@host:22/a.git#v1": Repository(remote="ssh://git@host:22/a.git", ref="v1"),
    "git@github.com:a/b.git#v1:d": Repository(remote="git@github.com:a/b.git", ref="v1", subdirectory="d"),
    "https://host/a.git?branch=x&subdir=d&keep-git-dir=1": Repository(
        remote="https://host/a.git", ref="refs/heads/x", subdirectory="d", keep_git_dir=True
    ),
    "https://host/a.git?tag=v1&commit=ABCDEF&submodules=false": Repository(
        remote="https://host/a.git", ref="refs/tags/v1", checksum="abcdef", submodules=False
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name(name: str) -> None:
    assert parse(name) == NAMES[name]


def test_a_context_may_be_called_by_its_host_alone() -> None:
    assert parse("github.com/a/b#c", context=True) == Repository(remote="https://github.com/a/b", ref="c")
    assert parse("github.com/a/b") is None


@pytest.mark.parametrize(
    "name",
    [
        "dir",
        "./a.git",
        "https://host/a.tar",
        "ftp://host/a.git",
        "file:///a.git",
        "ext::sh -c x",
        "C:\\x",
        "",
    ],
)
def test_what_names_no_repository(name: str) -> None:
    assert parse(name, context=True) is None


@pytest.mark.parametrize(
    "name",
    [
        "https://host/a.git#--upload-pack=x",
        "https://host/a.git#a..b",
        "https://host/a.git#a b",
        'https://ho"st/a.git',
        "https://host/a.git?ref=a#b",
        "https://host/a.git?checksum=xyz",
        "https://host/a.git?what=1",
        "https://host/a.git?keep-git-dir=maybe",
        "https://-oProxyCommand=x/a.git",
        "ssh://-oProxyCommand=x/a",
        "https:///a.git",
        "https://host:x/a.git",
    ],
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(name)


def test_passwords_are_not_shown() -> None:
    assert redacted("https://u:p@host/a.git") == "https://host/a.git"
    assert "secret" not in repr(parse("https://u:secret@host/a.git"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host/a/b.tar.gz?x=/y#z", "b.tar.gz"),
        ("http://host/a/", "a"),
        ("http://host", "__unnamed__"),
        ("http://host/a%2F..%2F..%2Fb", "b"),
        ("http://host/%2e%2e", "__unnamed__"),
        ("http://host/a%00b", "__unnamed__"),
        ("http://host/a%20b", "a b"),
    ],
)
def test_the_name_of_a_file_from_a_url(url: str, name: str) -> None:
    assert file_name(url) == name
