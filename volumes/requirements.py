"""What a mount of any kind has to be: Docker's checks, in its words (InvalidArgument)."""

import posixpath
import re

import errdefs


def require_target(kind: str, target: str) -> None:
    """A mount has a destination."""
    if not target:
        raise invalid(kind, "field Target must not be empty")
    try:
        require_destination(target)
    except errdefs.InvalidArgument as error:
        raise invalid(kind, error.message) from error


def require_destination(path: str) -> None:
    """It is an absolute path, and not the root."""
    if clean(path.replace("\\", "/")) == "/":
        raise errdefs.InvalidArgument("invalid specification: destination can't be '/'")
    if not path.startswith("/") or "\0" in path:
        raise errdefs.InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")


def require_absolute(kind: str, path: str) -> None:
    """A source is an absolute path."""
    if not path.startswith("/") or "\0" in path:
        raise invalid(kind, f"invalid mount path: '{path}' mount path must be absolute")


def require_local(kind: str, subpath: str) -> None:
    """A relative path that does not lead out, or none."""
    if subpath and (subpath.startswith("/") or clean(subpath).split("/")[0] == ".."):
        raise invalid(kind, "subpath must be a relative path within the volume")


def invalid(kind: str, text: str) -> errdefs.InvalidArgument:
    """What Docker says of a mount that cannot be."""
    return errdefs.InvalidArgument(f'invalid mount config for type "{kind}": {text}')


def clean(path: str) -> str:
    """Go's path.Clean: unlike normpath it keeps no second slash in front."""
    return posixpath.normpath(re.sub("^/+", "/", path))
