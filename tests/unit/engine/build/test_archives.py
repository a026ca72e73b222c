"""Which archives of contexts are held in memory, and what is remembered of them."""

from collections.abc import AsyncIterator, Sequence

import pytest

from engine.build.contexts.archives import Dockerfiles, gathered
from engine.build.source import SourceFile

SMALL = 1 << 20


async def sent(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize(
    ("chunks", "small"),
    [
        ([], True),
        ([b"a", b"b"], True),
        ([bytes(SMALL)], True),
        ([bytes(SMALL), b"x"], False),
        ([b"x", bytes(SMALL), b"y", b"z"], False),
    ],
)
async def test_all_of_an_archive_comes_through(chunks: list[bytes], small: bool) -> None:
    archive, again = await gathered(sent(chunks))
    assert (archive is not None) == small
    assert b"".join([chunk async for chunk in again]) == b"".join(chunks)
    if archive is not None:
        assert archive.data == b"".join(chunks)


async def test_archives_are_named_by_their_bytes() -> None:
    made = [(await gathered(sent(each)))[0] for each in ([b"ab"], [b"a", b"b"], [b"ac"])]
    one, same, other = [each.digest for each in made if each is not None]
    assert one == same != other


def test_dockerfiles_are_remembered_by_the_name_asked_for() -> None:
    known, source = Dockerfiles(), SourceFile("Dockerfile", b"FROM scratch\n")
    known.add("a", "Dockerfile", source)
    assert known.find("a", "Dockerfile") == source
    assert known.find("a", "other") is None
    assert known.find("b", "Dockerfile") is None


def test_what_is_remembered_is_bounded() -> None:
    known = Dockerfiles()
    known.add("large", "Dockerfile", SourceFile("Dockerfile", bytes((64 << 10) + 1)))
    assert known.find("large", "Dockerfile") is None
    known.add("first", "Dockerfile", SourceFile("Dockerfile", b"1"))
    for number in range(255):
        known.add(str(number), "Dockerfile", SourceFile("Dockerfile", b"x"))
    assert known.find("first", "Dockerfile")  # which makes it the last to go
    known.add("one more", "Dockerfile", SourceFile("Dockerfile", b"x"))
    assert known.find("first", "Dockerfile")
    assert known.find("0", "Dockerfile") is None
