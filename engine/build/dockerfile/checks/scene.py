"""What checks know beside the Dockerfile."""

from collections.abc import Mapping, Sequence

import msgspec

from engine.build.ignore import Ignore
from engine.images.config import ImageConfig
from engine.images.platforms import Platform


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """`given` are the build's arguments. `variables` is what FROM can use: those of platforms, and global ARGs, None
    without a value. `stages` are the numbers of those that are looked at, `bases` the configs of the images that they
    stand on, as far as they are known, and `target` the platform these should have. `ignore` is the context's.
    """

    given: Mapping[str, str]
    variables: Mapping[str, str | None]
    stages: Sequence[int]
    target: Platform
    bases: Mapping[int, ImageConfig] = msgspec.field(default_factory=dict)
    ignore: Ignore | None = None
