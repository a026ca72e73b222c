"""The settings of what removes by itself: old images, and what builds left."""

from typing import Any

import pytest

import errdefs
from engine.config import load, reload
from engine.config.builder import BuilderConfig, Policy
from engine.config.image_gc import ImageGC
from tests.unit.engine.configuring import Written, load_flags, refusal


def test_image_gc(written: Written) -> None:
    assert load_flags().image_gc is load(written({"image-gc": None})).image_gc is None
    argv = written({"image-gc": {}})
    current = load(argv)
    assert current.image_gc == ImageGC(high=85, low=80, min_age=86400.0, keep=())
    keep = ["label=pin", "app:*"]
    written({"image-gc": {"high-watermark": 70, "low-watermark": 0, "min-age": "1h30m", "keep": keep}})
    reloaded = reload(current, argv)
    assert reloaded.config.image_gc == ImageGC(high=70, low=0, min_age=5400.0, keep=tuple(keep))
    assert reloaded.changed == ("image_gc",)
    written({})
    assert reload(reloaded.config, argv).config.image_gc is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (True, 'must be an object, {"high-watermark": 85, …}'),
        ({"high": 1}, 'has no setting "high": there are high-watermark, low-watermark, min-age, keep'),
        ({"high-watermark": 101}, '"high-watermark" must be a percentage, from 0 to 100'),
        ({"low-watermark": True}, '"low-watermark" must be a percentage, from 0 to 100'),
        ({"high-watermark": 80}, '"low-watermark" (80) must be below "high-watermark" (80)'),
        ({"min-age": 5}, '"min-age" must be a duration such as "24h"'),
        ({"min-age": "-1h"}, '"min-age" must be a duration such as "24h"'),
        ({"min-age": "1d"}, '"min-age": time: invalid duration "1d"'),
        ({"keep": "x"}, '"keep" must be a list of texts: "label=name", or patterns of references'),
        ({"keep": [""]}, '"keep" must be a list of texts: "label=name", or patterns of references'),
    ],
)
def test_an_image_gc_that_cannot_be(written: Written, said: Any, expected: str) -> None:
    assert f"image-gc: {expected}" in refusal(written({"image-gc": said}))


def test_builder(written: Written) -> None:
    assert load_flags().builder == BuilderConfig()
    argv = written({"builder": {"gc": {"enabled": False, "defaultKeepStorage": "2GB"}}})
    assert load(argv).builder == BuilderConfig(gc=False, keep=2 << 30)
    policy = {"keepStorage": "1MB", "filter": ["unused-for=48h", "type=regular"], "all": True}
    written({"builder": {"gc": {"policy": [policy]}, "entitlements": {"security-insecure": True}}})
    found = load(argv).builder
    assert found.insecure
    assert found.policies == (
        Policy(keep=1 << 20, unused=48 * 3600 * 10**9, filters=("type=regular",), all=True),
    )


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], "must be an object"),
        ({"size": 1}, 'has no setting "size"'),
        ({"gc": {"enabled": "yes"}}, '"enabled" must be true or false'),
        ({"gc": {"defaultKeepStorage": 5}}, '"defaultKeepStorage" must be a size'),
        ({"gc": {"policy": {}}}, '"policy" must be a list'),
        ({"gc": {"policy": [{"filter": ["x"]}]}}, '"filter" must be a list of texts'),
        ({"gc": {"policy": [{"filter": ["until=soon"]}]}}, "soon"),
    ],
)
def test_bad_builder(written: Written, value: object, complaint: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=complaint):
        load(written({"builder": value}))
