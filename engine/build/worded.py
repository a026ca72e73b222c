"""The same failure in more words."""

import errdefs


def worded(error: errdefs.WherryError, message: str) -> errdefs.WherryError:
    """An error of the same class of failure."""
    for kind in type(error).__mro__:
        if kind.__module__ == errdefs.__name__ and issubclass(kind, errdefs.WherryError):
            return kind(message)
    return errdefs.SystemFailure(message)
