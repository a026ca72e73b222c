"""What a container asks to have mounted, as the parser of mount points reads it.

These are shapes, not classes: the engine's own nouns fit them, and this package need not know those.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol


class BindOptions(Protocol):
    """Options of a bind; `propagation` is "" or one of [r]private, [r]shared, [r]slave."""

    @property
    def propagation(self) -> str: ...  # noqa: D102
    @property
    def non_recursive(self) -> bool: ...  # noqa: D102
    @property
    def create_mountpoint(self) -> bool: ...  # noqa: D102
    @property
    def read_only_non_recursive(self) -> bool: ...  # noqa: D102
    @property
    def read_only_force_recursive(self) -> bool: ...  # noqa: D102


class DriverConfig(Protocol):
    """A volume driver and its options."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def options(self) -> Mapping[str, str] | None: ...  # noqa: D102


class VolumeOptions(Protocol):
    """Options of a volume; `subpath` is relative to it."""

    @property
    def no_copy(self) -> bool: ...  # noqa: D102
    @property
    def labels(self) -> Mapping[str, str] | None: ...  # noqa: D102
    @property
    def driver_config(self) -> DriverConfig | None: ...  # noqa: D102
    @property
    def subpath(self) -> str: ...  # noqa: D102


class ImageOptions(Protocol):
    """Options of an image that is mounted."""

    @property
    def subpath(self) -> str: ...  # noqa: D102


class TmpfsOptions(Protocol):
    """Options of a tmpfs: bytes, a permission mask, and pairs (or single words) for mount(8)."""

    @property
    def size_bytes(self) -> int: ...  # noqa: D102
    @property
    def mode(self) -> int: ...  # noqa: D102
    @property
    def options(self) -> Sequence[Sequence[str]] | None: ...  # noqa: D102


class MountRequest(Protocol):
    """A `Mount` of the API; `type` is "bind", "volume", "tmpfs" or "image"."""

    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def read_only(self) -> bool: ...  # noqa: D102
    @property
    def bind_options(self) -> BindOptions | None: ...  # noqa: D102
    @property
    def volume_options(self) -> VolumeOptions | None: ...  # noqa: D102
    @property
    def image_options(self) -> ImageOptions | None: ...  # noqa: D102
    @property
    def tmpfs_options(self) -> TmpfsOptions | None: ...  # noqa: D102
