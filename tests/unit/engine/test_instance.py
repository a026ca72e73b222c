import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import errdefs
from engine.instance import MARKER, Instance, directory, filesystem_of


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_root_gets_a_marker_and_keeps_its_id(tmp_path: Path) -> None:
    root = tmp_path / "a" / "root"
    first = Instance.claim(root)
    assert len(first.id) == 8
    assert int(first.id, 16) >= 0
    assert (_mode(root), _mode(root / MARKER)) == (0o710, 0o600)
    first.close()
    first.close()
    second = Instance.claim(root)
    assert second.id == first.id
    second.close()
    assert os.listdir(root) == [MARKER]


def test_a_root_that_is_not_ours_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "overlay2").mkdir()
    tmp_path.chmod(0o711)
    with pytest.raises(
        errdefs.InvalidArgument, match=r"is not empty \('overlay2' …\) and has no instance.json"
    ):
        Instance.claim(tmp_path)
    assert os.listdir(tmp_path) == ["overlay2"]
    assert _mode(tmp_path) == 0o711


def test_a_fresh_filesystem_and_a_half_written_marker_count_as_empty(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / f"{MARKER}.new").write_text("{")
    Instance.claim(tmp_path).close()
    assert sorted(os.listdir(tmp_path)) == [MARKER, "lost+found"]


def test_a_root_in_use_is_refused(tmp_path: Path) -> None:
    holder = Instance.claim(tmp_path)
    with pytest.raises(errdefs.Conflict, match="is in use by another wherryd"):
        Instance.claim(tmp_path)
    holder.close()
    Instance.claim(tmp_path).close()


def test_a_root_is_free_again_when_its_daemon_was_killed(tmp_path: Path) -> None:
    code = "import sys, pathlib; from engine.instance import Instance; i = Instance.claim(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(Path(errdefs.__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; print(i.id, flush=True); input()", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        assert process.stdout is not None
        identifier = process.stdout.readline().strip()
        with pytest.raises(errdefs.Conflict):
            Instance.claim(tmp_path)
        process.kill()
    again = Instance.claim(tmp_path)
    assert again.id == identifier
    again.close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"schema": 2, "instance": "01234567", "new": 1}', "has layout 2, written by a newer wherryd"),
        ('{"schema": 1, "instance": "xyz"}', "is damaged: no instance id"),
        ('{"schema": 1}', "is damaged"),
        ("", "is damaged"),
        ("[]", "is damaged"),
    ],
)
def test_other_markers_are_refused_and_untouched(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(errdefs.InvalidArgument, match=expected):
        Instance.claim(tmp_path)
    assert (tmp_path / MARKER).read_text() == content


def test_a_marker_that_is_a_link_or_a_fifo_is_refused(tmp_path: Path) -> None:
    os.symlink("/etc/passwd", tmp_path / MARKER)
    with pytest.raises(errdefs.InvalidArgument, match="cannot read"):
        Instance.claim(tmp_path)
    os.unlink(tmp_path / MARKER)
    os.mkfifo(tmp_path / MARKER)
    with pytest.raises(errdefs.InvalidArgument, match="is damaged"):
        Instance.claim(tmp_path)


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errdefs.InvalidArgument, match="cannot use the data root"):
        Instance.claim(tmp_path / "file")
    with pytest.raises(errdefs.InvalidArgument, match="must be an absolute path"):
        Instance.claim(Path("relative"))


@pytest.mark.root
def test_overlayfs_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, tmp_path / "merged"], check=True)
    try:
        with pytest.raises(errdefs.InvalidArgument, match=r"is on overlayfs.*give a --data-root on another"):
            Instance.claim(tmp_path / "merged" / "root")
    finally:
        subprocess.run(["umount", tmp_path / "merged"], check=True)


def test_filesystem_of_an_open_file() -> None:
    with open("/proc/self/stat", "rb") as file:
        assert filesystem_of(file.fileno()) == "proc"


def test_directories_have_exactly_their_mode(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(0o755)
    assert _mode(directory(tmp_path / "there")) == 0o700
    assert _mode(directory(tmp_path / "new" / "er", 0o710)) == 0o710
    (tmp_path / "file").touch()
    with pytest.raises(errdefs.SystemFailure, match="cannot make"):
        directory(tmp_path / "file" / "below")
