"""A volume: its record, and what its name may be."""

import re
from enum import Enum

import msgspec

import errdefs

ANONYMOUS = "com.docker.volume.anonymous"
"""The label of volumes that were made without a name; a prune takes these alone, unless it is told otherwise."""
LOCAL = "local"
"""The name of the default driver."""

NAME_PATTERN = "[a-zA-Z0-9][a-zA-Z0-9_.-]"  # as Docker's error message prints it
_VALID_NAME = re.compile(NAME_PATTERN + "+")


class Phase(Enum):
    """What was being done to a volume, for the boot after a crash.

    MAKING: it was asked for, and is made. NEW: a container that is not stored yet brought it. FILLING: it was empty,
    and gets what the image has for the sake of such a container. REMOVING: it goes.
    """

    SETTLED = ""
    MAKING = "making"
    NEW = "new"
    FILLING = "filling"
    REMOVING = "removing"


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume's record. `labels` and `options` are None where none were given, which clients are shown."""

    name: str
    created: int  # Unix nanoseconds
    driver: str = LOCAL
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    phase: Phase = Phase.SETTLED

    @property
    def anonymous(self) -> bool:
        """Whether it was made without a name."""
        return ANONYMOUS in (self.labels or {})


def require_valid_name(name: str) -> None:
    """Pass for a name that the local driver takes; InvalidArgument with Docker's texts."""
    if len(name) == 1:
        raise errdefs.InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if _VALID_NAME.fullmatch(name) is None:
        raise errdefs.InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "{NAME_PATTERN}"'
            " are allowed. If you intended to pass a host directory, use absolute path"
        )
