"""Values that have a secret in them."""

import msgspec


class Veiled(msgspec.Struct, frozen=True):
    """Tells nothing of itself where a value is shown: in a log, in a failure's text."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"
