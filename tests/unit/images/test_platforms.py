"""Which image of an index serves a machine."""

import pytest

from engine.images import layouts, platforms
from engine.images.layouts import Descriptor
from engine.images.platforms import parse, rank, warning


@pytest.mark.parametrize(
    ("offered", "wanted", "expected"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/386", "linux/amd64", 1),
        ("linux/amd64", "linux/386", None),
        ("linux/amd64", "linux/amd64/v3", 2),
        ("linux/amd64/v2", "linux/amd64", None),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm/v7", "linux/arm64", 2),
        ("linux/arm/v6", "linux/arm/v7", 1),
        ("linux/arm/v7", "linux/arm/v6", None),
        ("linux/arm", "linux/arm/v7", 0),
        ("windows/amd64", "linux/amd64", None),
        ("linux/riscv64", "linux/riscv64", 0),
        ("linux/amd64", "linux/amd64/v999999999999", 8),
    ],
)
def test_rank(offered: str, wanted: str, expected: int | None) -> None:
    assert rank(parse(offered), parse(wanted)) == expected


def test_the_best_is_chosen_and_no_attestation() -> None:
    def entry(platform: str, digest: str, **annotations: str) -> Descriptor:
        return Descriptor(digest=digest, platform=parse(platform), annotations=annotations)

    attestation = Descriptor(
        digest="about",
        platform=parse("linux/amd64"),
        annotations={"vnd.docker.reference.type": "attestation-manifest"},
    )
    entries = [attestation, Descriptor(digest="none"), entry("linux/386", "old"), entry("linux/amd64", "new")]
    for wanted, expected in (("linux/amd64", "new"), ("linux/386", "old")):
        served = layouts.serving(entries, parse(wanted))
        assert served is not None
        assert served.digest == expected
    assert layouts.serving(entries, parse("linux/s390x")) is None


def test_the_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "host", lambda: parse("linux/amd64"))
    assert warning(parse("linux/386")) == []
    (said,) = warning(parse("linux/arm64"))
    assert said == (
        "The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64) and "
        "no specific platform was requested"
    )
