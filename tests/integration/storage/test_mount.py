import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from errdefs import SystemFailure
from runtime.mount import Mount, attach, attach_overlay_in_one_page, check_overlay, mountinfo, unmount

pytestmark = pytest.mark.root


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "target"
    point.mkdir()
    yield point
    left = [entry for entry in mountinfo() if entry.target.startswith(str(tmp_path))]
    while unmount(point):
        pass
    assert left == []


def overlay(root: Path, layers: int) -> Mount:
    names = [root / f"layer-{n}" for n in range(layers)]
    for n, layer in enumerate(names):
        layer.mkdir(parents=True)
        (layer / f"file-{n}").write_text(str(n))
        (layer / "top").write_text(str(n))
    (root / "upper").mkdir()
    (root / "work").mkdir()
    lower = tuple(f"lowerdir+={layer}" for layer in names)
    return Mount(
        type="overlay",
        source="overlay",
        options=(*lower, f"upperdir={root / 'upper'}", f"workdir={root / 'work'}", "index=off"),
    )


@pytest.mark.parametrize("way", [lambda mount, target: attach([mount], target), attach_overlay_in_one_page])
def test_an_overlay_of_128_layers_below_long_paths(tmp_path: Path, target: Path, way: object) -> None:
    root = tmp_path / ("x" * 200) / ("y" * 200)
    way(overlay(root, 128), target)  # type: ignore[operator]
    assert len(os.listdir(target)) == 129
    assert (target / "top").read_text() == "0"
    (target / "top").write_text("changed")
    assert (root / "upper" / "top").read_text() == "changed"
    assert (root / "layer-0" / "top").read_text() == "0"
    assert unmount(target)


def test_a_bind_is_made_read_only_and_keeps_its_flags(tmp_path: Path, target: Path) -> None:
    (tmp_path / "source").mkdir()
    attach(
        [Mount(type="bind", source=str(tmp_path / "source"), options=("rbind", "ro", "nodev", "rprivate"))],
        target,
    )
    with pytest.raises(OSError, match="Read-only"):
        (target / "x").touch()
    (entry,) = [entry for entry in mountinfo() if entry.target == str(target)]
    assert {"ro", "nodev"} <= set(entry.options.split(","))
    assert entry.propagation == ()
    assert unmount(target)


def test_a_tmpfs_takes_its_options(target: Path) -> None:
    attach([Mount(type="tmpfs", source="tmpfs", options=("nosuid", "size=64k", "mode=0711"))], target)
    assert target.stat().st_mode & 0o7777 == 0o711
    with pytest.raises(OSError, match="No space"):
        (target / "big").write_bytes(b"x" * 70_000)
    assert unmount(target)


def test_mounts_are_undone_when_one_of_them_fails(target: Path) -> None:
    tmpfs = Mount(type="tmpfs", source="tmpfs")
    with pytest.raises(SystemFailure, match="cannot mount nosuchfs nothing at"):
        attach([tmpfs, Mount(type="nosuchfs", source="nothing")], target)
    assert not unmount(target)


def test_unmounting_what_is_not_mounted_says_so(tmp_path: Path, target: Path) -> None:
    assert not unmount(target)
    assert not unmount(tmp_path / "missing")


def test_an_overlay_is_checked_without_mounting_it(tmp_path: Path, target: Path) -> None:
    good = overlay(tmp_path / "plain", 2)
    assert check_overlay(good) is None
    attach([good], target)
    bad = overlay(target / "nested", 2)  # overlayfs is no upper layer for an overlay
    assert check_overlay(bad) is not None
    with pytest.raises(SystemFailure, match="cannot mount overlay"):
        attach([bad], target)
    assert unmount(target)
