"""What changed in a directory against the layers below it, on plain directories."""

import os
import stat
from pathlib import Path

import pytest

from runtime.layers import changes as module
from runtime.layers.changes import Kind, changes, own
from runtime.layers.lower import OPAQUE, Lower

pytestmark = pytest.mark.root

enter = Lower.enter

POINTS = frozenset({"/etc/hosts", "/etc/hostname", "/proc", "/dev/shm"})
TIME = 1_700_000_000


def fill(root: Path, *entries: str) -> Path:
    """Make "dir/", "file", "file=content", "-gone" (a whiteout) and "dir/!" (an opaque directory)."""
    root.mkdir(exist_ok=True)
    for entry in entries:
        path = root / entry.replace("-", "").rstrip("/!").partition("=")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.startswith("-") or "/-" in entry:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(0, 0))
        elif entry.endswith(("/", "/!")):
            path.mkdir(exist_ok=True)
            if entry.endswith("!"):
                os.setxattr(path, OPAQUE, b"y")
        else:
            path.write_text(entry.partition("=")[2])
            os.utime(path, (TIME, TIME))
    return root


def shown(upper: Path, *below: Path, **options: object) -> list[str]:
    found = changes(upper, below, mount_points=POINTS, **options)  # type: ignore[arg-type]
    return [f"{'CAD'[each.kind]} {each.path}" for each in found]


@pytest.fixture
def low(tmp_path: Path) -> Path:
    return fill(tmp_path / "low", "etc/passwd=x", "etc/deep/a", "etc/deep/b", "bin/vi", "tmp/")


CASES = [
    ([], []),
    (["new=1"], ["A /new"]),
    (["a/b/c"], ["A /a", "A /a/b", "A /a/b/c"]),
    (["etc/passwd=longer"], ["C /etc", "C /etc/passwd"]),
    (["etc/passwd=x"], []),
    (["-bin"], ["D /bin"]),
    (["bin/-vi"], ["C /bin", "D /bin/vi"]),
    (["bin/-never"], []),
    (["etc/deep/!"], ["C /etc", "C /etc/deep", "D /etc/deep/a", "D /etc/deep/b"]),
    (["etc/deep/!", "etc/deep/a", "etc/deep/c"],
     ["C /etc", "C /etc/deep", "A /etc/deep/c", "D /etc/deep/b"]),
    (["etc/!", "etc/deep/a"], ["C /etc", "C /etc/deep", "D /etc/deep/b", "D /etc/passwd"]),
    (["etc=now a file"], ["C /etc", "D /etc/deep", "D /etc/passwd"]),
    (["bin/vi/", "bin/vi/x"], ["C /bin", "C /bin/vi", "A /bin/vi/x"]),
    (["etc/hosts", "etc/hostname", "proc/", "dev/shm/"], []),
    (["etc/hosts", "etc/new"], ["C /etc", "A /etc/new"]),
    (["etc/hosts=written"], ["C /etc", "A /etc/hosts"]),
    (["dev/x"], ["C /dev", "A /dev/x"]),
    (["tmp/"], []),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "expected"), CASES, ids=lambda value: " ".join(value) or "nothing")
def test_changes(tmp_path: Path, low: Path, entries: list[str], expected: list[str]) -> None:
    assert shown(fill(tmp_path / "upper", *entries), low) == expected


def test_a_directory_changed_by_its_mode_alone(tmp_path: Path, low: Path) -> None:
    upper = fill(tmp_path / "upper", "tmp/", "etc/hosts")
    (upper / "tmp").chmod(0o700)
    assert shown(upper, low) == ["C /tmp"]
    (upper / "etc").chmod(0o711)
    assert shown(upper, low) == ["C /etc", "C /tmp"]


def test_a_file_changed_by_its_capabilities_alone(tmp_path: Path, low: Path) -> None:
    upper = fill(tmp_path / "upper", "etc/passwd=x", "etc/deep/a")
    value = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(upper / "etc/passwd", "security.capability", value)
    assert shown(upper, low) == ["C /etc", "C /etc/passwd"]
    os.setxattr(low / "etc/passwd", "security.capability", value)
    assert shown(upper, low) == []


def test_what_the_engine_made_is_told_apart(
    tmp_path: Path, low: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upper = fill(tmp_path / "upper", "etc/hosts", "proc/", "dev/shm/", "tmp/", "a/b/c")

    def made() -> list[str]:
        return sorted(own(upper, [low], mount_points=POINTS))

    assert made() == ["/dev", "/dev/shm", "/etc", "/etc/hosts", "/proc"]
    fill(upper, "etc/new", "dev/shm/x")
    assert made() == ["/etc/hosts", "/proc"]
    # The same in size and time, and yet maybe another file: its directory is to be kept.
    fill(upper, "etc/passwd=y")
    (upper / "etc/new").unlink()
    assert made() == ["/etc/hosts", "/proc"]
    # Nothing else is looked at: it may be a lot.
    monkeypatch.setattr(
        Lower, "enter", lambda self, name: pytest.fail(name) if name == "b" else enter(self, name)
    )
    assert made() == ["/etc/hosts", "/proc"]


def test_layers_on_layers(tmp_path: Path) -> None:
    one = fill(tmp_path / "1", "a/x", "a/y", "b/x", "c", "d/x", "e/x")
    two = fill(tmp_path / "2", "-c", "a/-x", "a/z", "b/!", "b/new", "d=file", "-e")
    three = fill(tmp_path / "3", "e/fresh", "a/")
    lower = Lower([three, two, one])
    try:
        assert lower.names() == {"a", "b", "d", "e"}
        for name, inside in (("a", {"y", "z"}), ("b", {"new"}), ("d", set()), ("e", {"fresh"}), ("c", set())):
            lower.enter(name)
            assert lower.names() == inside, name
            lower.leave()
    finally:
        lower.close()
    upper = fill(tmp_path / "upper", "a/x", "a/y=1", "c", "b/x", "-e")
    assert shown(upper, three, two, one) == ["C /a", "A /a/x", "C /a/y", "C /b", "A /b/x", "A /c", "D /e"]


def test_a_copy_of_all(tmp_path: Path, low: Path) -> None:
    copy = fill(tmp_path / "copy", "etc/passwd=x", "etc/deep/a", "bin/vi=changed", "tmp/new")
    expected = ["C /bin", "C /bin/vi", "C /etc", "C /etc/deep", "D /etc/deep/b", "C /tmp", "A /tmp/new"]
    assert shown(copy, low, whole=True) == expected


def test_depth_costs_no_descriptors(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 600)
    low, upper = (fill(tmp_path / name, f"{deep}/x") for name in ("low", "upper"))
    (upper / deep / "x").write_text("other")
    before = len(os.listdir("/proc/self/fd"))
    found = changes(upper, [low])
    assert len(os.listdir("/proc/self/fd")) == before
    assert [each.kind for each in found] == [Kind.MODIFIED] * 601
    assert found[-1].path == f"/{deep}/x"


def test_numbers_are_dockers() -> None:
    assert [module.Kind.MODIFIED, module.Kind.ADDED, module.Kind.DELETED] == [0, 1, 2]
