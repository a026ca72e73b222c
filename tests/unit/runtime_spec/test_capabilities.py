"""Docker's arithmetic of capabilities."""

import pytest

from errdefs import InvalidArgument
from runtime.spec import capabilities
from runtime.spec.capabilities import ALL, DEFAULT, decode, normalize, resolve, validate


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], DEFAULT),
        (["sys_admin"], [], (*DEFAULT, "CAP_SYS_ADMIN")),
        (["CAP_CHOWN"], [], DEFAULT),
        ([], ["chown"], DEFAULT[1:]),
        ([], ["ALL"], ()),
        (["kill", "CAP_KILL"], ["all"], ("CAP_KILL",)),
        (["ALL"], [], ALL),
        (["all"], ["cap_sys_admin"], tuple(name for name in ALL if name != "CAP_SYS_ADMIN")),
        (["ALL"], ["ALL"], ALL),
        (["CHOWN"], ["CHOWN"], (*DEFAULT[1:], "CAP_CHOWN")),
    ],
)
def test_resolve(add: list[str], drop: list[str], expected: tuple[str, ...]) -> None:
    assert resolve(add, drop, allowed=ALL) == expected


def test_privileged_has_what_the_daemon_has() -> None:
    assert resolve(["nonsense"], [], privileged=True, allowed=ALL) == ALL
    assert resolve(privileged=True) == capabilities.available()
    assert resolve(privileged=True, allowed=("CAP_KILL", "CAP_CHOWN")) == ("CAP_CHOWN", "CAP_KILL")


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r'^unknown capability: "CAP_NOPE"$'):
        normalize(["nope"])
    with pytest.raises(InvalidArgument, match=r'not available in the current environment: "CAP_KILL"$'):
        resolve(["KILL"], allowed=("CAP_CHOWN",))
    with pytest.raises(InvalidArgument, match=r"^invalid CapDrop: unknown capability"):
        validate(["ALL"], ["CAP_ALL"])


def test_masks_of_proc_are_read() -> None:
    assert set(decode(0xA80425FB)) == set(DEFAULT)
    assert decode(1 << 63) == ()
    assert set(capabilities.available()) <= set(ALL)
    assert len(ALL) == 41
