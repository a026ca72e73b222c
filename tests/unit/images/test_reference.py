import pytest

import errdefs
from engine.images import reference
from engine.images.reference import Reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x"),
        ("registry.example/a/b:1", "registry.example/a/b:1", "registry.example/a/b:1"),
        ("Registry/app", "Registry/app", "Registry/app"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}", f"busybox:1@{DIGEST}"),
        ("a__b/c--d", "docker.io/a__b/c--d", "a__b/c--d"),
    ],
)
def test_normalises(text: str, canonical: str, familiar: str) -> None:
    found = reference.parse(text)
    assert (found.canonical, found.familiar) == (canonical, familiar)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("a" * 64, f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"),
        ("user/App:x", "invalid reference format: repository name (user/App) must be lowercase"),
        ("a b", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a:", "invalid reference format"),
        (":tag", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a@sha256:abc", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("x" * 5000, "invalid reference format"),
        ("a/" + "b" * 255, "repository name must not be more than 255 characters"),
        ("a@sha256:" + "a" * 63, "invalid checksum digest length"),
        ("a@sha256:" + "A" * 64, "invalid checksum digest format"),
        ("a@md5:" + "a" * 32, "unsupported digest algorithm"),
    ],
)
def test_refuses_with_dockers_text(text: str, message: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refused:
        reference.parse(text)
    assert refused.value.message == message


def test_an_id_is_no_name() -> None:
    assert reference.parse_any("a" * 64) == "sha256:" + "a" * 64
    assert reference.parse_any(DIGEST) == DIGEST
    assert reference.parse_any("a") == Reference("docker.io", "library/a")


def test_repo_and_tag_of_a_query() -> None:
    assert reference.parse_repo_tag("", "x") is None
    assert str(reference.parse_repo_tag("a", "").familiar) == "a:latest"  # type: ignore[union-attr]
    assert str(reference.parse_repo_tag("a:1", "2").familiar) == "a:2"  # type: ignore[union-attr]
    with pytest.raises(errdefs.InvalidArgument, match="cannot import digest reference"):
        reference.parse_repo_tag(f"a@{DIGEST}", "")
    with pytest.raises(errdefs.InvalidArgument, match="invalid tag format"):
        reference.parse_repo_tag("a", "no tag")


def test_a_digest_wins_over_a_tag_in_the_store() -> None:
    assert reference.parse(f"a:1@{DIGEST}").stored().familiar == f"a@{DIGEST}"
    assert reference.parse("a").stored().familiar == "a:latest"
