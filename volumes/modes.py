"""The mode of a bind, `ro,z,rslave`: which words there are, and what they say."""

import errdefs

PROPAGATIONS = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
DEFAULT_PROPAGATION = "rprivate"
NO_COPY = "nocopy"

_KINDS = (
    frozenset({"rw", "ro"}),
    frozenset({"z", "Z"}),
    PROPAGATIONS,
    frozenset({NO_COPY}),
    frozenset({"consistent", "cached", "delegated"}),
)


def is_valid(mode: str) -> bool:
    """Whether each word is known, and there is one of each kind at most; the empty mode is valid."""
    if not mode:
        return True
    words = mode.split(",")
    kinds = [kind for word in words for kind in _KINDS if word in kind]
    return len(kinds) == len(words) and len(set(kinds)) == len(kinds)


def require_valid(mode: str) -> None:
    """Pass for a valid mode; InvalidArgument with Docker's text."""
    if not is_valid(mode):
        raise errdefs.InvalidArgument(f"invalid mode: {mode}")


def is_writable(mode: str) -> bool:
    """Whether a valid mode lets the container write."""
    return "ro" not in mode.split(",")


def propagation(mode: str) -> str:
    """The propagation that a mode names, "" if it names none."""
    return next((word for word in mode.split(",") if word in PROPAGATIONS), "")
