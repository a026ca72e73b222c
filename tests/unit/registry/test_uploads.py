"""Where uploads go on, and how much of them is there, by the headers of registries."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from yarl import URL

import errdefs
from engine.registry import upload
from engine.registry.messages import Answer

BASE = URL("https://r.example:444/v2/a/b/blobs/uploads/")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/a/b/blobs/uploads/1", "https://r.example:444/v2/a/b/blobs/uploads/1"),
        ("1?_state=a%2Bb%3D%3D", "https://r.example:444/v2/a/b/blobs/uploads/1?_state=a%2Bb%3D%3D"),
        ("https://s.example/x%2Fy?z=1#no", "https://s.example/x%2Fy?z=1"),
        ("https://u:p@s.example/x", "https://s.example/x"),
        ("http://r.example/v2/1?a=b", "https://r.example:444/v2/1?a=b"),
        ("http://r.example:80/v2/1", "https://r.example:444/v2/1"),
    ],
)
def test_location(location: str, expected: str) -> None:
    """A registry that does not know that it stands behind TLS names itself without."""
    assert str(upload._location(BASE, location)) == expected


@pytest.mark.parametrize("location", ["http://s.example/x", "ftp://r.example/x", "http://[::1"])
def test_no_location(location: str) -> None:
    with pytest.raises(errdefs.SystemFailure):
        upload._location(BASE, location)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0-99", 100),
        ("bytes=0-99", 100),
        ("0-0", 0),
        ("", None),
        ("1-99", None),
        ("0--1", None),
        ("0-" + "9" * 20, None),
    ],
)
def test_kept(header: str, expected: int | None) -> None:
    answer = cast("Any", SimpleNamespace(header=lambda _: header))
    assert upload._kept(cast("Answer", answer)) == expected
