"""A corpus of Dockerfiles built by wherry and by a real dockerd, with both of its builders, through the docker CLI.

Images are the same field by field and file by file; what cannot be built is refused alike, with the same lines shown.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.peer.builds import bad, good_configs, good_copies, good_runs
from tests.peer.builds.building import build, differences
from tests.peer.builds.case import Case
from tests.peer.builds.refusals import same_refusal
from tests.peer.peer import Both
from tests.roots import make_root

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

GOOD = [*good_configs.CASES, *good_runs.CASES, *good_copies.CASES]


def each(cases: Sequence[Case]) -> list[object]:
    """Every case by every builder that it is for."""
    return [
        pytest.param(case, builder, id=f"{case.name}-{builder}")
        for case in cases
        for builder in case.builders
    ]


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory for a context, in which xattrs of users can be."""
    path = make_root("corpus-")
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize(("case", "builder"), each(GOOD))
def test_the_same_image(both: Both, root: Path, case: Case, builder: str) -> None:
    ours, theirs = build(both, case, builder, root)
    assert ours.image is not None, ours.output
    assert theirs.image is not None, theirs.output
    found = differences(ours.image, theirs.image)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("case", "builder"), each(bad.CASES))
def test_the_same_refusal(both: Both, root: Path, case: Case, builder: str) -> None:
    ours, theirs = build(both, case, builder, root)
    assert theirs.failure, theirs.output
    assert ours.failure, ours.output
    assert same_refusal(case, ours, theirs), f"{ours.failure} {ours.lines}\n{theirs.failure} {theirs.lines}"
