"""Which image of an index serves a machine."""

import pytest

import errdefs
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
    assert layouts.serving(entries[:1] + entries[2:], parse("linux/s390x")) is None


def test_what_does_not_say_what_it_is_for_serves_whom_nothing_else_does() -> None:
    told = Descriptor(digest="told", platform=parse("linux/amd64"))
    for silent in (Descriptor(digest="silent"), Descriptor(digest="silent", platform=platforms.Platform())):
        for wanted, expected in (("linux/amd64", "told"), ("linux/s390x", "silent")):
            served = layouts.serving([silent, told], parse(wanted))
            assert served is not None
            assert served.digest == expected


def test_the_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "capable", lambda: parse("linux/amd64/v3"))
    for served in ("linux/386", "linux/amd64", "linux/amd64/v3"):
        assert warning(parse(served)) == []
    assert warning(parse("linux/amd64/v4"))
    (said,) = warning(parse("linux/arm64"))
    assert said == (
        "The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64/v3) "
        "and no specific platform was requested"
    )


def test_an_image_that_serves_what_is_asked_for() -> None:
    for offered, wanted in (
        ("linux/arm/v6", "linux/arm64"),
        ("linux/386", "linux/amd64"),
        ("arm64", "linux/arm64/v8"),
    ):
        platforms.require(parse(offered), parse(wanted), "it")
    for offered, wanted in (
        ("linux/amd64", "linux/386"),
        ("linux/arm64", "linux/arm"),
        ("linux/arm/v7", "linux/arm/v6"),
    ):
        with pytest.raises(errdefs.NotFound, match=r"image with reference it was found but its platform \("):
            platforms.require(parse(offered), parse(wanted), "it")


def test_the_level_of_a_processor() -> None:
    second = "pni cx16 ssse3 sse4_1 sse4_2 popcnt lahf_lm"
    third = f"{second} fma movbe xsave avx f16c abm bmi1 avx2 bmi2"
    fourth = f"{third} avx512f avx512dq avx512cd avx512bw avx512vl"
    for level, flags in enumerate(("fpu sse2", f"{second} avx", third, fourth), 1):
        assert platforms.amd64_level(flags.split()) == level
