"""Which containers and images a prune takes."""

import pytest

import errdefs
from engine.containers.config import ContainerConfig
from engine.containers.container import State
from engine.containers.prune import to_go
from engine.containers.state import Status
from engine.filters import Filters
from engine.images.listing import Listed
from engine.images.prune import names_to_go
from engine.prune import Turn, until
from tests.unit.api.samples import CREATED, IMAGE_ID, container, image


@pytest.mark.parametrize("status", list(Status))
def test_what_does_not_run(status: Status) -> None:
    goes = to_go(container(state=State(status=status)), Filters(), None)
    assert goes is (status in (Status.CREATED, Status.EXITED, Status.DEAD))


@pytest.mark.parametrize(
    ("filters", "goes"),
    [
        (Filters.of(label=["a"]), True),
        (Filters.of(label=["a=1", "b"]), True),
        (Filters.of(label=["a=2"]), False),
        (Filters({"label!": {"a": True}}), False),
        (Filters({"label!": {"c": True}}), True),
    ],
    ids=repr,
)
def test_labels(filters: Filters, goes: bool) -> None:
    labelled = container(config=ContainerConfig(labels={"a": "1", "b": ""}))
    assert to_go(labelled, filters, None) is goes


def test_age() -> None:
    made = container().created
    assert to_go(container(), Filters(), made)
    assert not to_go(container(), Filters(), made - 1)


def test_until() -> None:
    assert until(Filters()) is None
    assert until(Filters.of(until=[str(CREATED // 10**9)])) == CREATED
    with pytest.raises(errdefs.InvalidArgument, match="more than one until filter specified"):
        until(Filters.of(until=["1h", "2h"]))
    with pytest.raises(errdefs.InvalidArgument, match="failed to parse value as time or duration"):
        until(Filters.of(until=["soon"]))


def test_one_at_a_time() -> None:
    turn = Turn()
    with turn, pytest.raises(errdefs.Conflict, match="a prune operation is already running"), turn:
        pass
    with turn:
        pass


def listed(references: list[str], digests: list[str]) -> Listed:
    return Listed(image=image(), references=references, digests=digests, users=[], shared_size=0)


@pytest.mark.parametrize(
    ("references", "digests", "dangling", "goes"),
    [
        ([], [], True, [IMAGE_ID]),
        (["a:1"], [], True, []),
        (["a:1"], ["a@sha256:0"], True, []),
        ([], ["a@sha256:0"], True, ["a@sha256:0"]),
        ([], [], False, [IMAGE_ID]),
        (["a:1", "b:1"], ["a@sha256:0"], False, ["a:1", "b:1", "a@sha256:0"]),
    ],
)
def test_images(references: list[str], digests: list[str], dangling: bool, goes: list[str]) -> None:
    assert names_to_go(listed(references, digests), [image()], dangling=dangling) == goes


def test_images_that_others_were_built_on_stay() -> None:
    child = image(id="sha256:" + "cd" * 32, parent=IMAGE_ID)
    assert names_to_go(listed([], []), [image(), child], dangling=True) == []
