"""Which records of the build cache a prune takes."""

import pytest

import errdefs
from engine import filters
from engine.build.cache_filters import Usage, matching, of_docker
from engine.build.cache_prune import Wanted, kept_bytes, select
from engine.build.solver.records import CACHE_MOUNT, Record

HOUR = 3600 * 10**9
NOW = 1000 * HOUR


def usage(
    name: str,
    *,
    size: int = 10,
    age: int = 1,
    shared: bool = False,
    in_use: bool = False,
    kind: str = "regular",
) -> Usage:
    """A record that was used `age` hours ago."""
    used = NOW - age * HOUR
    record = Record(id=name, kind=kind, parent=f"of-{name}", description=f"RUN {name}", created=0, used=used)
    return Usage(record=record, in_use=in_use, shared=shared, size=size, own=0 if shared else size)


EVERYTHING = [
    usage("old", age=50),
    usage("new", age=1),
    usage("shared", age=60, shared=True),
    usage("busy", age=70, in_use=True),
    usage("mount", age=20, kind=CACHE_MOUNT, size=30),
    usage("hidden", age=80, kind="internal"),
]
TOTAL = sum(each.own for each in EVERYTHING)


def gone(wanted: Wanted, free: int = 0) -> list[str]:
    means = matching(wanted.filters)
    return [each.record.id for each in select([e for e in EVERYTHING if means(e)], wanted, NOW, TOTAL, free)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Wanted(), ["old", "new", "mount"]),
        (Wanted(all=True), ["old", "new", "shared", "mount", "hidden"]),
        (Wanted(unused=10 * HOUR), ["old", "mount"]),
        (Wanted(filters=["type==exec.cachemount"]), ["mount"]),
        (Wanted(filters=["id~=^o", "id~=w$"]), ["old", "new"]),
        (Wanted(filters=["shared"], all=True), ["shared"]),
        (Wanted(filters=["private,id!=old"]), ["new", "mount"]),
        (Wanted(filters=['description=="RUN new"']), ["new"]),
        (Wanted(filters=["parents==of-old"]), ["old"]),
        (Wanted(filters=["mutable"]), []),
        (Wanted(filters=["id~=("]), []),
        (Wanted(max_used=TOTAL), []),
        (Wanted(max_used=TOTAL - 1), ["old"]),
        (Wanted(max_used=TOTAL - 11), ["old", "mount"]),
        (Wanted(reserved=TOTAL - 5), ["old"]),
        (Wanted(max_used=1), ["old", "mount", "new"]),
    ],
)
def test_what_goes(wanted: Wanted, names: list[str]) -> None:
    assert gone(wanted) == names


@pytest.mark.parametrize(
    ("wanted", "free", "kept"),
    [
        (Wanted(), 0, None),
        (Wanted(reserved=7), 0, 7),
        (Wanted(max_used=50), 0, 50),
        (Wanted(max_used=50, reserved=60), 0, 60),
        (Wanted(min_free=30), 20, 90),
        (Wanted(min_free=30), 40, 100),
        (Wanted(min_free=30, max_used=80), 20, 80),
        (Wanted(min_free=60, max_used=80), 20, 60),
        (Wanted(min_free=200), 0, 0),
        (Wanted(min_free=200, reserved=33), 0, 33),
    ],
)
def test_how_much_stays(wanted: Wanted, free: int, kept: int | None) -> None:
    """As BuildKit counts (cache/manager.go, calculateKeepBytes)."""
    assert kept_bytes(wanted, 100, free) == kept


def test_filters_of_docker() -> None:
    read = filters.read('{"id":["^ab"],"type":["regular"],"shared":["true"],"unused-for":["24h"]}')
    terms, unused = of_docker(read)
    assert terms == ["id~=^ab,type==regular,shared"]
    assert unused // HOUR == 24
    assert of_docker(filters.read("")) == ([], 0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ('{"nope":["x"]}', "invalid filter 'nope'"),
        ('{"id":["a","b"]}', "filters expect only one value"),
        ('{"until":["1h","2h"]}', "filters expect only one value"),
        ('{"until":["1h"],"unused-for":["1h"]}', 'conflicting filters: "until" and "unused-for"'),
        ('{"until":["x"]}', "\"until\" filter expects a duration (e.g., '24h') or a timestamp"),
    ],
)
def test_filters_that_cannot_be(given: str, text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as failure:
        of_docker(filters.read(given))
    assert failure.value.message.startswith(text)


@pytest.mark.parametrize("text", ["=", "a b", "id==x,,", "id=x"])
def test_terms_that_are_none(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="parse error"):
        matching([text])


def test_what_others_stand_on_goes_after_them() -> None:
    base = Record(id="base", created=0, used=NOW - 3 * HOUR)
    above = Record(id="above", parent="base", created=0, used=NOW - 2 * HOUR)
    other = Record(id="other", created=0, used=NOW - HOUR)
    usages = [
        Usage(record=each, in_use=False, shared=False, size=10, own=10) for each in (base, above, other)
    ]
    taken = [each.record.id for each in select(usages, Wanted(max_used=1), NOW, 30, 0)]
    assert taken == ["above", "base", "other"]
    assert [each.record.id for each in select(usages, Wanted(max_used=20), NOW, 30, 0)] == ["above"]
