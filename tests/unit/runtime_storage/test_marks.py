"""What is put into every container's root, and what of it an image may have otherwise."""

import os
from pathlib import Path

import pytest

from runtime.layers.changes import changes, own
from runtime.layers.marks import PATHS, add_marks, size

pytestmark = pytest.mark.root


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    made = tmp_path / "upper"
    made.mkdir()
    return made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = tmp_path / "image"
    made.mkdir()
    return made


def test_an_image_without_them(upper: Path, image: Path) -> None:
    (image / "etc").mkdir()
    os.chown(image / "etc", 5, 6)
    (image / "etc").chmod(0o2751)
    add_marks(upper, [image])
    assert (upper / ".dockerenv").stat().st_mode == 0o100755
    assert os.readlink(upper / "etc/mtab") == "/proc/mounts"
    found = (upper / "etc").stat()
    assert (found.st_uid, found.st_gid, found.st_mode) == (5, 6, 0o42751)
    assert size(upper) == len("/proc/mounts")
    assert changes(upper, [image], mount_points=PATHS) == []
    assert sorted(own(upper, [image], mount_points=PATHS)) == ["/.dockerenv", "/etc", "/etc/mtab"]


def test_an_empty_image(upper: Path) -> None:
    add_marks(upper, [])
    assert (upper / "etc").stat().st_mode == 0o40755
    assert changes(upper, [], mount_points=PATHS) == []


@pytest.mark.parametrize("links", [True, False])
def test_an_image_that_has_them(upper: Path, image: Path, links: bool) -> None:
    (image / "etc").mkdir()
    (image / ".dockerenv").mkdir()
    if links:
        (image / "etc/mtab").symlink_to("/elsewhere")
    else:
        (image / "etc/mtab").write_text("mine")
    add_marks(upper, [image])
    assert [path.name for path in upper.rglob("*")] == ["etc"]
    assert size(upper) == 0


@pytest.mark.parametrize("target", ["/", "/tmp", "../.."])
def test_a_link_for_etc_leads_nowhere(upper: Path, image: Path, target: str) -> None:
    (image / "etc").symlink_to(target)
    add_marks(upper, [image])
    assert [path.name for path in upper.iterdir()] == [".dockerenv"]


def test_a_copy_of_all(upper: Path, image: Path) -> None:
    for root in (upper, image):
        (root / "etc").mkdir(mode=0o700)
    add_marks(upper, [image])
    assert os.readlink(upper / "etc/mtab") == "/proc/mounts"
    assert (upper / "etc").stat().st_mode == 0o40700
