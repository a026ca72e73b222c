"""The books of the comparison with dockerd, kept for the second run of tests that failed."""

from pathlib import Path

from tests.peer import masks
from tests.peer.accepted import ACCEPTED
from tests.peer.ledger import Ledger, Request


def test_another_run_goes_on_with_them(tmp_path: Path) -> None:
    first, again, file = Ledger(), Ledger(missing=["a part of a module"]), tmp_path / "ledger.json"
    good, bad = (Request.of("GET", f"/info?{word}", None, "1.45", None) for word in ("good", "bad"))
    first.count(good, 200)
    first.met.add(ACCEPTED[0])
    seen = masks.needed["<id>"]
    masks.mask("0" * 64)
    first.listed["table"].add("first")
    first.keep(file)
    again.count(bad, 400)
    again.met.add(ACCEPTED[1])
    listed = again.listed["table"]
    listed.add("second")
    again.go_on(file)
    assert again.counts("GET /info", "1.45") == (1, 1)
    assert again.met == set(ACCEPTED[:2])
    assert listed == {"first", "second"}
    assert again.missing == []
    assert masks.needed["<id>"] > seen
