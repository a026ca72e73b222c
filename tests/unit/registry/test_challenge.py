import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.registry.challenge import Challenge, parse


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"',
            [("bearer", {"realm": "https://auth.docker.io/token", "service": "registry.docker.io"})],
        ),
        (
            'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://ghcr.io/token",
                        "service": "ghcr.io",
                        "scope": "repository:user/image:pull,push",
                    },
                )
            ],
        ),
        (
            'Basic realm="https://1234.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com"',
            [
                (
                    "basic",
                    {
                        "realm": "https://1234.dkr.ecr.us-east-1.amazonaws.com/",
                        "service": "ecr.amazonaws.com",
                    },
                )
            ],
        ),
        (
            'Bearer realm="https://harbor.example/service/token",service="harbor-registry"',
            [("bearer", {"realm": "https://harbor.example/service/token", "service": "harbor-registry"})],
        ),
        (
            'Bearer realm="https://x.azurecr.io/oauth2/token",service="x.azurecr.io", Basic realm="x"',
            [
                ("bearer", {"realm": "https://x.azurecr.io/oauth2/token", "service": "x.azurecr.io"}),
                ("basic", {"realm": "x"}),
            ],
        ),
        ("BASIC REALM=plain , charset = UTF-8", [("basic", {"realm": "plain", "charset": "UTF-8"})]),
        (r'Digest qop="a\"b\\c, d"', [("digest", {"qop": r'a"b\c, d'})]),
        (
            'Negotiate, Negotiate dGVzdA==, Bearer realm="r"',
            [("negotiate", {}), ("negotiate", {}), ("bearer", {"realm": "r"})],
        ),
        ('Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})]),
        (", ,Basic", [("basic", {})]),
        ('Bearer realm="open', [("bearer", {})]),
        ("Bearer realm=", [("bearer", {})]),
        ('realm="a"', []),
        ("", []),
        ('"x" Basic', []),
    ],
)
def test_one_header(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(each.scheme, dict(each.parameters)) for each in parse([header])] == expected


def test_headers_keep_their_order() -> None:
    assert parse(["Basic realm=a", "Bearer realm=b"]) == [
        Challenge("basic", {"realm": "a"}),
        Challenge("bearer", {"realm": "b"}),
    ]


def test_there_is_an_end_to_it() -> None:
    assert len(parse(["Basic," * 10_000])) == 16
    assert len(parse(["Bearer realm=x"] * 1000)) == 16
    assert parse(['Bearer realm="' + "x" * 1_000_000 + '"']) == [Challenge("bearer", {})]


@given(st.lists(st.text(alphabet='Basic earl=",\\ \t;/x:', max_size=200), max_size=3))
def test_any_header_is_read_without_a_failure(headers: list[str]) -> None:
    for challenge in parse(headers):
        assert challenge.scheme == challenge.scheme.lower() != ""
