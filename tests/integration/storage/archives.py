"""Archives for tests, honest and otherwise."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.layers.apply import Applied, apply
from runtime.layers.limits import DEFAULT, Limits


def member(
    name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    """One entry; `fields` are attributes of TarInfo."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def directory(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A directory's entry."""
    return member(name, tarfile.DIRTYPE, **fields)


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link's entry."""
    return member(name, tarfile.SYMTYPE, linkname=target)


def hardlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A hard link's entry."""
    return member(name, tarfile.LNKTYPE, linkname=target)


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of the members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def raw(block: bytes, **fields: bytes) -> bytes:
    """A header block with fields overwritten ("size", "name", …) and its checksum made right again."""
    places = {
        "name": 0,
        "mode": 100,
        "uid": 108,
        "gid": 116,
        "size": 124,
        "mtime": 136,
        "type": 156,
        "link": 157,
    }
    changed = bytearray(block[:512])
    for field, value in fields.items():
        changed[places[field] : places[field] + len(value)] = value
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed) + block[512:]


async def unpack(archive: bytes, target: Path, limits: Limits = DEFAULT) -> Applied:
    """Apply an archive, kept in a file beside `target`."""
    blob = target.parent / "blob"
    blob.write_bytes(archive)
    return await apply(blob, target, limits=limits)
