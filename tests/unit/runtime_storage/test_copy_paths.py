"""What a path of a copy means, which mounts may be written, and how an answer is coded."""

import os
from pathlib import Path

import pytest

from api.routes.archive import negotiate
from errdefs import InvalidArgument, NotFound
from runtime.archive import resource
from runtime.archive.order import Part
from runtime.archive.writing import enter, extract, require_writable
from runtime.layers.limits import DEFAULT


@pytest.mark.parametrize(
    ("path", "absolute", "base"),
    [
        ("/d/f", "/d/f", "f"),
        ("d", "/d", "d"),
        ("/d/", "/d/", "d"),
        ("/d/.", "/d/.", "."),
        (".", "/.", "."),
        ("/", "/", "/"),
        ("//", "/", "/"),
        ("/../..", "/", "/"),
        ("/d/../e//f/", "/e/f/", "f"),
    ],
)
def test_paths(path: str, absolute: str, base: str) -> None:
    assert resource.absolute(path) == absolute
    assert resource.base(absolute) == base


PARTS = [
    Part("/v", "/x"),
    Part("/v/sealed", "/x", read_only=True),
    Part("/v/sealed/open", "/x"),
    Part("/etc/hosts", "/x", read_only=True, user=False),
]


@pytest.mark.parametrize("path", ["/v", "/v/sealed/open", "/v/sealed/open/deep", "/v/sealedness"])
def test_the_nearest_mount_counts(path: str) -> None:
    require_writable(path, PARTS, read_only=True)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v/sealed", "mounted volume is marked read-only"),
        ("/v/sealed/x", "mounted volume is marked read-only"),
        ("/vv", "container rootfs is marked read-only"),
        ("/etc/hosts", "container rootfs is marked read-only"),
    ],
)
def test_read_only(path: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        require_writable(path, PARTS, read_only=True)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ([], ""),
        (["gzip, deflate"], "gzip"),
        (["deflate", "gzip"], "gzip"),
        (["gzip;q=0.5, deflate;q=0.7"], "deflate"),
        (["*"], "gzip"),
        (["gzip;q=0"], ""),
        (["identity"], ""),
        (["gzip;q=nonsense"], ""),
    ],
)
def test_codings(accepted: list[str], coding: str) -> None:
    assert negotiate(accepted) == coding


def test_a_directory_that_goes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container may remove what is copied to at any moment: that is its own doing, and no fault of the host's."""
    monkeypatch.chdir(tmp_path)
    real = tmp_path / "d"
    real.mkdir()
    change = os.chdir

    def remove_first(path: str) -> None:
        real.rmdir()
        change(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "chdir", remove_first)
        with pytest.raises(NotFound, match=f"chdir {real}: no such file or directory"):
            enter(str(real))
    real.mkdir()
    enter(str(real))
    real.rmdir()
    with open(os.devnull, "rb") as empty, pytest.raises(NotFound, match="has been removed meanwhile"):
        extract(empty.fileno(), DEFAULT, owner=None, keep_kinds=False)
