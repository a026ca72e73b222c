"""Copies of 2,000 small files into a running container and out of it, on connections that are there."""

import io
import itertools
import tarfile

from tests.bench.client import expect
from tests.bench.contest import Contest
from tests.bench.groups.execs import sleepers

FILES = 2000
_SIZE = 500  # bytes of each


def packed(directory: str) -> bytes:
    """An archive of a directory with all the files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        top = tarfile.TarInfo(directory)
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(top)
        for number in range(FILES):
            entry = tarfile.TarInfo(f"{directory}/file-{number}")
            entry.size = _SIZE
            archive.addfile(entry, io.BytesIO(bytes(_SIZE)))
    return made.getvalue()


def measure(contest: Contest) -> None:
    """Put into a directory of its own each time, get that, and one file of it."""
    numbers = itertools.count()
    with sleepers(contest) as containers:
        for turn in contest.turns(0.5):
            for contender in turn:
                directory = f"copy-{next(numbers)}"
                archive = packed(directory)
                target = f"containers/{containers[contender.name]}/archive?path=/tmp"
                with turn.timed("copy-put", contender):
                    contender.client.raw("PUT", target, archive)
                with turn.timed("copy-get", contender):
                    got = contender.client.raw("GET", f"{target}/{directory}")
                with turn.timed("copy-one", contender):
                    contender.client.raw("GET", f"{target}/{directory}/file-7")
                with tarfile.open(fileobj=io.BytesIO(got)) as found:
                    expect(len(found.getnames()) == FILES + 1, "files are missing")
