"""Ids of a container on both sides of its user namespace."""

import msgspec
import pytest

from errdefs import InvalidArgument
from runtime.spec.identity import HOST, OVERFLOW, Identity, IdRange

TWO = Identity(
    uids=(IdRange(0, 100000, 1000), IdRange(1000, 300000, 64536)), gids=(IdRange(0, 200000, 65536),)
)


def test_without_a_user_namespace_ids_are_the_same() -> None:
    assert not HOST.remapped
    assert HOST.root == (0, 0)
    assert (HOST.uid_outside(1234), HOST.gid_inside(1234)) == (1234, 1234)


@pytest.mark.parametrize(("inside", "outside"), [(0, 100000), (999, 100999), (1000, 300000), (65535, 364535)])
def test_an_id_is_found_in_its_range_from_either_side(inside: int, outside: int) -> None:
    assert TWO.uid_outside(inside) == outside
    assert TWO.uid_inside(outside) == inside


def test_what_has_no_place_is_refused_outwards_and_nobody_inwards() -> None:
    with pytest.raises(InvalidArgument, match="Container ID 65536 cannot be mapped to a host ID"):
        TWO.uid_outside(65536)
    assert TWO.gid_inside(0) == OVERFLOW


def test_root_is_told_by_both_of_its_ids() -> None:
    assert TWO.root == (100000, 200000)


def test_it_is_stored_with_a_record() -> None:
    assert msgspec.json.decode(msgspec.json.encode(TWO), type=Identity) == TWO
