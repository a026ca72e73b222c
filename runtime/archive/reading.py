"""A file of the container, or a directory with all in it, as a tar stream; the container is our root."""

import os
import stat
import threading

from isal import isal_zlib

from runtime.archive import resource
from runtime.layers.packer import Packer
from runtime.spec.identity import HOST, Identity

_READ = 1 << 18
_WINDOWS = {
    "gzip": 31,
    "deflate": -15,
}  # as zlib calls the formats; HTTP's deflate has no header where Go writes it


def write(path: str, out: int, encoding: str, identity: Identity = HOST) -> None:
    """Write the archive of what is at an absolute path, compressed as HTTP's `encoding` calls it, "" for not.

    It has the container's own ids, those of the host being told by `identity`.
    """
    if not encoding:
        _pack(path, out, identity)
        return
    reading, writing = os.pipe()
    failures: list[BaseException] = []
    compressing = threading.Thread(target=_compress, args=(reading, out, encoding, failures))
    compressing.start()
    try:
        _pack(path, writing, identity)
    finally:
        os.close(writing)
        compressing.join()
    for failure in failures:
        raise failure


def _pack(path: str, out: int, identity: Identity) -> None:
    try:
        _pack_found(path, resource.look(path), out, identity)
    except OSError as error:
        if error.errno in resource.CHANGED:
            raise resource.refused(error, f"open {path}: ") from error
        raise


def _pack_found(path: str, found: os.stat_result, out: int, identity: Identity) -> None:
    name = resource.base(path)
    if stat.S_ISDIR(found.st_mode):
        top = b"" if name == "/" else os.fsencode(name)
        packer = Packer(out, below=top, identity=identity)
        packer.directory(found, top)
        packer.tree(path)
    else:
        packer = Packer(out, identity=identity)
        parent = os.open(path.rpartition("/")[0] or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        packer.other(parent, name)
        os.close(parent)
    packer.end()


def _compress(reading: int, out: int, encoding: str, failures: list[BaseException]) -> None:
    """Pass on what comes until the end; the other end breaks where we fail."""
    try:
        compressor = isal_zlib.compressobj(wbits=_WINDOWS[encoding])
        while data := os.read(reading, _READ):
            _write(out, compressor.compress(data))
        _write(out, compressor.flush())
    except OSError as failure:
        failures.append(failure)
    finally:
        os.close(reading)


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]
