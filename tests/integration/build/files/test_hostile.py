"""Contexts, roots and archives that were made to lead out, and files that change while they are copied."""

import asyncio
import io
import os
import socket
import stat
import tarfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from errdefs import InvalidArgument, NotFound, WherryError
from runtime import tree
from runtime.copying.order import Action, CopyFiles, MakeDirectory, MakeFile, Selection
from runtime.copying.workers import Workers

pytestmark = pytest.mark.root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What nobody may read or change."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "secret").write_text("secret")
    return place


def copy(*paths: str, to: str, unpack: bool = False, parents: bool = False) -> CopyFiles:
    return CopyFiles(0, Selection(list(paths), parents), to, unpack=unpack)


@pytest.mark.parametrize("link", ["../outside", "{}", "d/../../outside", "/../../outside", "/proc/self/cwd"])
async def test_links_of_a_source_lead_nowhere_outside(
    workers: Workers, root: Path, source: Path, outside: Path, link: str
) -> None:
    (source / "out").symlink_to(link.format(outside))
    for number, path in enumerate(
        ("out", "out/secret", "out/*", "out/../../outside/secret", "../outside/secret")
    ):
        for parents in (False, True):
            with suppress(NotFound):  # else it is the link itself that was copied
                await workers.change(root, [source], [copy(path, to=f"/{number}/", parents=parents)])
            with suppress(NotFound):
                await workers.digest(source, Selection([path], parents))
    with pytest.raises(NotFound):
        await workers.digest_path(source, "/out/secret")
    await workers.change(root, [source], [copy("/", to="/all"), copy("*/secret", to="/x/")])
    assert os.readlink(root / "all/out") == link.format(outside)
    assert not contents(root)[1]


@pytest.mark.parametrize("link", ["../outside", "{}", "/../../outside", "../../../../../../../{}"])
async def test_links_of_a_root_lead_nowhere_outside(
    workers: Workers, root: Path, source: Path, outside: Path, link: str
) -> None:
    (root / "out").symlink_to(link.format(outside))
    (source / "secret").write_text("mine")
    actions: list[Action] = [
        copy("secret", to="/out/secret"),
        copy("secret", to="/out/../../outside/secret"),
        copy("d", to="/out"),
        MakeFile("/out/", "secret", "mine"),
        MakeDirectory("/out/more"),
    ]
    for action in actions:
        await workers.change(root, [source], [action])
    assert (outside / "secret").read_text() == "secret"
    assert os.listdir(outside) == ["secret"]


async def test_a_nested_link_of_the_root_is_not_followed(workers: Workers, root: Path, source: Path) -> None:
    (root / "etc").mkdir()
    (root / "sub").symlink_to("/etc")
    with pytest.raises(InvalidArgument, match="cannot copy to non-directory: /sub"):
        await workers.change(root, [source], [copy("d", to="/")])
    (root / "sub").unlink()
    (root / "g").unlink()
    (root / "g").symlink_to("/etc/g")
    await workers.change(root, [source], [copy("d", to="/")])
    assert not (root / "g").is_symlink()
    assert os.listdir(root / "etc") == []


async def test_accounts_that_are_no_files_are_none(
    workers: Workers, root: Path, source: Path, outside: Path
) -> None:
    (root / "etc").mkdir()
    os.mkfifo(root / "etc/passwd")
    (root / "etc/group").symlink_to(outside / "secret")
    async with asyncio.timeout(20):
        await workers.change(root, [source], [CopyFiles(0, Selection(["f"]), "/x", "joe:them")])
    assert (root / "x").stat().st_uid == 0


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    with io.BytesIO() as made:
        with tarfile.open(fileobj=made, mode="w") as tar:
            for entry, content in entries:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return made.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


HOSTILE = {
    "a name that climbs": [(entry("../outside/secret"), b"x")],
    "through its own link": [
        (entry("l", tarfile.SYMTYPE, "../../outside"), b""),
        (entry("l/secret"), b"x"),
    ],
    "through its own absolute link": [(entry("l", tarfile.SYMTYPE, "/etc"), b""), (entry("l/passwd"), b"x")],
    "a hard link to outside": [
        (entry("l", tarfile.LNKTYPE, "../outside/secret"), b""),
        (entry("l"), b"x"),
    ],
    "a hard link through a link": [
        (entry("l", tarfile.SYMTYPE, "../../outside"), b""),
        (entry("h", tarfile.LNKTYPE, "l/secret"), b""),
    ],
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_an_archive_stays_where_it_is_unpacked(
    workers: Workers, root: Path, source: Path, outside: Path, case: str
) -> None:
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("accounts")
    (source / "bad.tar").write_bytes(archive(*HOSTILE[case]))
    with pytest.raises(InvalidArgument):
        await workers.change(root, [source], [copy("bad.tar", to="/app/deep", unpack=True)])
    assert (outside / "secret").read_text() == "secret"
    assert (root / "etc/passwd").read_text() == "accounts"


async def test_devices_and_setuid_of_an_archive_are_kept_as_files(
    workers: Workers, root: Path, source: Path
) -> None:
    device, program = entry("device", tarfile.CHRTYPE), entry("program")
    device.devmajor, device.devminor, program.mode = 1, 3, 0o6755
    (source / "a.tar").write_bytes(archive((device, b""), (program, b"x"), (entry(".wh.gone"), b"")))
    await workers.change(root, [source], [copy("a.tar", to="/", unpack=True)])
    assert stat.S_ISCHR((root / "device").stat().st_mode)
    assert (root / "program").stat().st_mode & 0o7777 == 0o6755
    assert (root / ".wh.gone").exists()


async def test_an_archive_that_is_no_archive_to_its_end_is_refused(
    workers: Workers, root: Path, source: Path
) -> None:
    whole = archive((entry("a"), b"x" * 100_000), (entry("b"), b"y"))
    for bad in (whole[:50_000], whole[:100_864] + b"z" * 1024):
        (source / "a.tar").write_bytes(bad)
        with pytest.raises(InvalidArgument):
            await workers.change(root, [source], [copy("a.tar", to="/", unpack=True)])


async def test_a_tree_of_any_depth_is_copied_and_digested(workers: Workers, root: Path, source: Path) -> None:
    here = os.open(source, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    await workers.change(root, [source], [copy("/", to="/x")])
    assert await workers.digest_path(root, "/x/deep") == await workers.digest_path(source, "/deep")
    tree.remove(source)
    tree.remove(root)


async def test_links_that_are_exchanged_meanwhile_never_lead_out(
    workers: Workers, root: Path, source: Path, outside: Path
) -> None:
    """A directory becomes a link and back while it is copied: what is copied is of the source, or it is refused."""
    (source / "swap").mkdir()
    for number in range(50):
        (source / f"swap/{number}").write_text("mine")
    (source / "held").symlink_to(outside)
    (outside / "0").write_text("secret")
    stop = threading.Event()
    exchanging = threading.Thread(target=exchange, args=(source, stop))
    exchanging.start()
    try:
        for number in range(60):
            try:
                await workers.change(root, [source], [copy("swap/*", "swap", to=f"/{number}/")])
            except WherryError as error:
                assert isinstance(error, NotFound | InvalidArgument), error.message  # noqa: PT017
    finally:
        stop.set()
        exchanging.join()
    assert contents(root)[0] == {"mine"}


def exchange(source: Path, stop: threading.Event) -> None:
    """Swap the directory `swap` and the link `held`, again and again."""
    while not stop.wait(0.002):
        for _ in range(20):
            (source / "swap").rename(source / "aside")
            (source / "held").rename(source / "swap")
            (source / "swap").rename(source / "held")
            (source / "aside").rename(source / "swap")


def contents(root: Path) -> tuple[set[str], list[Path]]:
    """What all files of a root hold, and which of them are called secret."""
    found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return {path.read_text() for path in found}, [path for path in found if path.name == "secret"]


def size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*"))


async def test_what_is_cancelled_leaves_no_process(workers: Workers, root: Path, source: Path) -> None:
    with (source / "large").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    await workers.change(root, [source], [MakeDirectory("/x")])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await workers.change(root, [source], [copy("large", to=f"/{number}") for number in range(50)])
    before = size(root)
    await asyncio.sleep(0.2)
    assert size(root) == before


async def test_a_socket_in_place_of_a_file_is_refused(workers: Workers, root: Path, source: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "s"))
    await workers.change(root, [source], [copy("s", to="/s")])
    assert (root / "s").read_bytes() == b""
