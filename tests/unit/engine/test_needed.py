"""What records refer to is found out again after a change, and only then."""

from engine.images.needed import Needed


def test_only_a_change_makes_it_look_again() -> None:
    records = ["a", "bc"]
    needed = Needed(lambda: records, layers=list, blobs=lambda record: [record])
    assert needed.layers == {"a", "b", "c"}
    assert needed.blobs == {"a", "bc"}
    records.remove("bc")
    assert needed.layers == {"a", "b", "c"}
    needed.changed()
    assert needed.layers == {"a"}
    assert needed.blobs == {"a"}
    needed.changed()
    needed.changed()
