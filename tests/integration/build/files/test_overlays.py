"""Copies into overlays, as the roots of steps are: directories of lower layers are gone through and copied up."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from errdefs import InvalidArgument
from runtime.copying.order import CopyFiles, MakeDirectory, Selection
from runtime.copying.workers import Workers
from tests.integration.build.files.trees import listed

pytestmark = pytest.mark.root
ALL = CopyFiles(0, Selection(["/"], exclude=["dang", "top", "abs"]), "/")


@pytest.fixture
def merged(tmp_path: Path) -> Iterator[Path]:
    """An overlay whose lower layers have d/ of the context and what stands in its way; above is upper/."""
    for name in ("one/d/sub/deep", "two/d", "upper", "work", "merged"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one/d/sub/h").write_text("below")
    (tmp_path / "one/d/sub/kept").write_text("kept")
    (tmp_path / "two/d/g").symlink_to("/f")
    os.mknod(tmp_path / "two/gone", stat.S_IFCHR, os.makedev(0, 0))
    options = ",".join(
        f"{name}dir={tmp_path}/{directory}"
        for name, directory in (("lower", f"two:{tmp_path}/one"), ("upper", "upper"), ("work", "work"))
    )
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, tmp_path / "merged"], check=True)
    try:
        yield tmp_path / "merged"
    finally:
        subprocess.run(["umount", tmp_path / "merged"], check=True)


async def test_what_is_below_is_merged_and_replaced(
    workers: Workers, merged: Path, source: Path, root: Path
) -> None:
    await workers.change(merged, [source], [ALL, MakeDirectory("/d/sub/deep/er")])
    assert (merged / "d/sub/h").read_text() == "3\n"
    assert (merged / "d/sub/kept").read_text() == "kept"
    assert not (merged / "d/g").is_symlink()
    assert (merged / "d/g").stat().st_ino == (merged / "d/hard").stat().st_ino
    assert (merged / "d/sub").stat().st_mode & 0o7777 == 0o750
    above = [line.split()[3] for line in listed(merged.parent / "upper")]
    assert above == [
        "d",
        "d/g",
        "d/hard",
        "d/l",
        "d/sub",
        "d/sub/deep",
        "d/sub/deep/er",
        "d/sub/h",
        "empty",
        "f",
    ]
    await workers.change(root, [merged], [CopyFiles(0, Selection(["/"]), "/")])
    assert listed(root) == listed(merged)
    assert await workers.digest(merged, Selection(["/"])) == await workers.digest(root, Selection(["/"]))


async def test_no_deletion_is_copied(workers: Workers, merged: Path, source: Path) -> None:
    os.mknod(source / "d/deleted", stat.S_IFCHR, os.makedev(0, 0))
    with pytest.raises(InvalidArgument, match="failed to create device /d/deleted"):
        await workers.change(merged, [source], [ALL])
