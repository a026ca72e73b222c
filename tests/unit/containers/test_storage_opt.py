"""How much a container may hold in its root."""

import pytest

import errdefs
from engine.config.values import container_size
from engine.containers.storage_opt import size_of


def test_what_is_asked_comes_before_the_daemons() -> None:
    assert size_of(None, 5, limited=True) == 5
    assert size_of({}, 0, limited=False) == 0
    assert size_of({"size": "1g"}, 5, limited=True) == 1 << 30
    assert size_of({"SIZE": "0"}, 5, limited=True) == 0


@pytest.mark.parametrize(
    ("asked", "limited", "text"),
    [
        (
            {"size": "1g"},
            False,
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        ),
        ({"foo": "1g"}, True, "Unknown option foo"),
        ({"foo": "1g"}, False, "Unknown option foo"),
        ({"Size": "bad"}, False, "invalid size: 'bad'"),
        ({"size": "-1"}, True, "invalid size: '-1'"),
    ],
)
def test_what_cannot_be(asked: dict[str, str], limited: bool, text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refusal:
        size_of(asked, 0, limited=limited)
    assert refusal.value.message.startswith(text)


def test_options_of_the_storage_driver() -> None:
    assert container_size([]) == 0
    assert (
        container_size(["overlay2.size=10m", "overlay2.override_kernel_check=true", "dm.fs=xfs"]) == 10 << 20
    )


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("overlay2.size", "unable to parse storage-opt key/value: overlay2.size"),
        ("overlay2.size=x", "storage-opts: invalid size: 'x'"),
        ("overlay2.foo=x", "overlay2: unknown option overlay2.foo"),
    ],
)
def test_options_that_cannot_be(option: str, text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refusal:
        container_size([option])
    assert refusal.value.message == text
