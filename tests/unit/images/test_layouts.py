import pytest

import errdefs
from engine.images import layouts, moments, platforms
from engine.images.layouts import Descriptor
from engine.images.platforms import Platform
from runtime import globs

HOST = Platform(os="linux", architecture="amd64")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("armhf", "linux/arm/v7"),
        ("Windows/AMD64", "windows/amd64"),
    ],
)
def test_platforms(text: str, expected: str) -> None:
    assert platforms.render(platforms.parse(text)) == expected


@pytest.mark.parametrize("text", ["", "bogus", "a/b/c/d", "linux/../x", "linux//"])
def test_bad_platforms(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        platforms.parse(text)


def test_an_index_prefers_the_platform_and_skips_what_is_no_image() -> None:
    attestation = Descriptor(annotations={"vnd.docker.reference.type": "attestation-manifest"})
    arm = Descriptor(platform=Platform(os="linux", architecture="arm64"))
    host = Descriptor(platform=HOST)
    assert layouts.choose([attestation, arm, host], HOST) is host
    assert layouts.choose([attestation, arm], HOST) is arm
    with pytest.raises(errdefs.InvalidArgument):
        layouts.choose([attestation], HOST)


@pytest.mark.parametrize("name", ["a", "./a", "/a", "a//", "./a/."])
def test_member_paths(name: str) -> None:
    assert layouts.member_path(name) == "a"


@pytest.mark.parametrize("name", ["..", "../a", "a/..", "/../a", "a\0b", "x" * 5000])
def test_member_paths_that_lead_out(name: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        layouts.member_path(name)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a*", "abc", True),
        ("a*", "a/b", False),
        ("*/b", "a/b", True),
        ("[a-c]x", "bx", True),
        ("[^a]", "b", True),
        ("[^a]", "a", False),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("*a*b*", "xxaxxbx", True),
        ("?", "/", False),
        ("a*" * 60 + "b", "a" * 250, False),
    ],
)
def test_globs(pattern: str, text: str, expected: bool) -> None:
    assert globs.matches(pattern, text) is expected


@pytest.mark.parametrize("pattern", ["[", "[]", "[a", "[-]", "\\", "[a-"])
def test_bad_globs(pattern: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="syntax error in pattern"):
        globs.matches(pattern, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10s", 10**18 - 10**10),
        ("1700000000", 1700000000 * 10**9),
        ("1700000000.5", 1700000000 * 10**9 + 5 * 10**8),
        ("2024-01-02T03:04:05.5Z", 1704164645 * 10**9 + 5 * 10**8),
        ("2024-01-02T03:04+01:00", 1704161040 * 10**9),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert moments.parse(text, 10**18) == expected


@pytest.mark.parametrize("text", ["", "soon", "2024-13-01", "1e400", "nan", "9" * 50, "0000-00-00"])
def test_bad_moments(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        moments.parse(text, 0)
