"""ADD of an archive: unpacked by a process whose root is where it goes, so that its links lead nowhere else."""

import json
import os
from collections.abc import Iterator
from typing import NoReturn

import errdefs
from errdefs import InvalidArgument, SystemFailure, WherryError
from runtime.archive import writing
from runtime.layers import confine
from runtime.layers import header as tar
from runtime.layers.decompression import Decompression
from runtime.layers.header import Header
from runtime.layers.limits import DEFAULT

_READ = 1 << 16
_MAX_WORDS = 1 << 16


def is_archive(fd: int) -> bool:
    """Whether a file is a tar archive, compressed or not, by its first entry. Its offset stays."""
    block = b""
    try:
        for piece in _pieces(fd):
            block += piece
            if len(block) >= tar.BLOCK:
                break
        head = block[: tar.BLOCK]
        if len(head) < tar.BLOCK or not any(head):
            return False
        Header(head)
    except InvalidArgument:
        return False
    return True


def _pieces(fd: int) -> Iterator[bytes]:
    decompression = Decompression(DEFAULT)
    at = 0
    while data := os.pread(fd, _READ, at):
        at += len(data)
        yield from decompression.feed(data)
    yield from decompression.finish()


def unpack(archive: int, directory: str, owner: tuple[int, int] | None) -> None:
    """Unpack an archive that is open into a directory of the root. InvalidArgument for one that is broken or hostile.

    All that it has gets `owner`, if that is told. Takes the capability to change the root.
    """
    reading, words = os.pipe()
    target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _unpack(archive, target, words, owner)
    os.close(words)
    os.close(target)
    with os.fdopen(reading, "rb") as said:
        answer = said.read(_MAX_WORDS)
    os.waitpid(child, 0)
    if not answer:
        raise SystemFailure("the process that unpacks an archive ended without a word")
    kind, message = json.loads(answer)
    if kind:
        failure: type[WherryError] = getattr(errdefs, kind)
        raise failure(message)


def _unpack(archive: int, target: int, words: int, owner: tuple[int, int] | None) -> NoReturn:
    kind = message = ""
    try:
        confine.end_with_parent()
        confine.enter(target)
        writing.extract(archive, DEFAULT, owner=owner, keep_kinds=False)
    except WherryError as error:
        kind, message = type(error).__name__, error.message
    except MemoryError:
        kind, message = "InvalidArgument", "the archive takes too much memory to unpack"
    except OSError as error:
        kind, message = "SystemFailure", f"cannot unpack: {error.strerror}"
    finally:
        os.write(words, json.dumps([kind, message]).encode())
        os._exit(0)
