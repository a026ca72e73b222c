"""A root filesystem as four layers that overlap: each layer takes away, replaces or hides what is below it."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
COUNT = 4
_COMPILER = ("./usr/lib/", "./usr/libexec/", "./usr/include/", "./usr/bin/")
_KINDS = "./opt/kinds"

# What the layers have beside their share, before it: a name that ends with a slash is a directory's.
_PLANTED: dict[int, dict[str, str]] = {
    0: {
        "./opt/gone": "a file that the second layer takes away",
        "./opt/gone-too/": "",
        "./opt/gone-too/deep/": "",
        "./opt/gone-too/deep/file": "a directory that the second layer takes away",
        f"{_KINDS}/": "",
        f"{_KINDS}/lowest": "the second layer takes the directory away, the third one brings it again",
        "./usr/bin/python3.13": "#!/bin/false",
    },
    1: {
        f"./opt/{WHITEOUT}gone": "",
        f"./opt/{WHITEOUT}gone-too": "",
        f"./opt/{WHITEOUT}kinds": "",
        "./opt/twice": "a file that the third layer takes away",
        "./opt/never/": "",
        "./opt/never/was": "a directory that the last layer takes away",
    },
    2: {
        f"./opt/{WHITEOUT}twice": "",
        f"{_KINDS}/": "",
        f"{_KINDS}/plain/": "",
        f"{_KINDS}/plain/file": "a directory that becomes a file",
        f"{_KINDS}/empty-directory": "a file that becomes a directory",
        f"{_KINDS}/links/": "",
        f"{_KINDS}/links/to-directory/": "",
        f"{_KINDS}/links/to-directory/file": "a directory that becomes a link",
        f"{_KINDS}/devices/": "",
        f"{_KINDS}/devices/null": "a file that becomes a device",
        f"{_KINDS}/hard/": "",
        f"{_KINDS}/hard/a": "a file that becomes another one",
        f"{_KINDS}/names/": "",
        f"{_KINDS}/names/hidden": "a file of a directory that the last layer makes anew",
        f"{_KINDS}/names/older/": "",
        f"{_KINDS}/names/older/hidden": "a directory of it",
    },
    3: {
        f"./opt/{WHITEOUT}never": "",
        f"{_KINDS}/names/{OPAQUE}": "",
    },
}
_LINKED = {f"{_KINDS}/modes": "../../etc"}  # links of the third layer that become directories in the last one


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive and where its content begins."""

    info: tarfile.TarInfo
    at: int


def split(base: Path, whole: Path, directory: Path) -> list[Path]:
    """Write four tars into the directory, the lowest one first, that one on the other make the whole.

    The lowest is the base and no file of it comes again unless it is another one in the whole; the next ones are
    Python, the compiler, and all the rest.
    """
    below, above = _members(base), _members(whole)
    shares: list[set[str]] = [set() for _ in range(COUNT)]
    for name, member in above.items():
        if name not in below or not _same(below[name].info, member.info):
            shares[_layer_of(above, name)].add(name)
    for share in shares[1:]:
        share |= {parent for name in share for parent in _parents(name)}
    paths = [directory / f"layer-{number}.tar" for number in range(COUNT)]
    gone = sorted(below.keys() - above.keys())
    for number, path in enumerate(paths):
        source, members = (base, below) if number == 0 else (whole, above)
        names = below.keys() if number == 0 else shares[number]
        hidden = _hidden(gone) if number == COUNT - 1 else []
        with ExitStack() as opened:
            archive = opened.enter_context(
                tarfile.open(path, "w", format=tarfile.PAX_FORMAT, errors="surrogateescape")
            )
            content = opened.enter_context(source.open("rb"))
            for info, data in _planted(number, hidden):
                archive.addfile(info, io.BytesIO(data))
            for name, member in members.items():
                if name in names and not (number == 0 and name in _PLANTED[0]):
                    content.seek(member.at)
                    archive.addfile(member.info, content)
    return paths


def _members(path: Path) -> dict[str, Member]:
    with tarfile.open(path, errors="surrogateescape") as archive:
        return {member.name: Member(member, member.offset_data) for member in archive}


def _same(one: tarfile.TarInfo, other: tarfile.TarInfo) -> bool:
    fields = ("type", "mode", "uid", "gid", "size", "linkname", "devmajor", "devminor")
    if any(getattr(one, field) != getattr(other, field) for field in fields):
        return False
    return _said(one) == _said(other)


def _said(info: tarfile.TarInfo) -> dict[str, str]:
    """Attributes, and the time as exactly as it is told."""
    kept = {name: value for name, value in info.pax_headers.items() if name.startswith("SCHILY.")}
    return {**kept, "mtime": info.pax_headers.get("mtime", str(info.mtime))}


def _layer_of(members: dict[str, Member], name: str) -> int:
    info = members[name].info
    first = info.linkname if info.islnk() else name  # names of one file are of one layer
    if "python" in first:
        return 1
    return 2 if first.startswith(_COMPILER) else 3


def _parents(name: str) -> Iterator[str]:
    while name != ".":
        name = name.rpartition("/")[0]
        yield name


def _hidden(gone: Iterable[str]) -> list[str]:
    """The whiteouts of what is gone; what lies in a directory that is gone goes with it."""
    lost = set(gone)
    tops = [name for name in sorted(lost) if not lost.intersection(_parents(name))]
    return [f"{parent}/{WHITEOUT}{name}" for parent, _, name in (top.rpartition("/") for top in tops)]


def _planted(number: int, hidden: list[str]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for name, text in {**_PLANTED[number], **dict.fromkeys(hidden, "")}.items():
        info = tarfile.TarInfo(name.rstrip("/"))
        info.uid, info.gid, info.mtime, info.size = 7, 7, 1_234_567_890, len(text)
        info.type, info.mode = (tarfile.DIRTYPE, 0o700) if name.endswith("/") else (tarfile.REGTYPE, 0o604)
        yield info, text.encode()
    for name, target in _LINKED.items() if number == COUNT - 2 else ():
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, target
        yield info, b""
