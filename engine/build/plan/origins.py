"""What a text means as a place that files come from. Pure."""

import posixpath
import re
from urllib.parse import urlsplit

_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[^/:@\s]+:[^\s]*")


def is_url(text: str) -> bool:
    """Whether it is fetched by HTTP."""
    return text.startswith(("http://", "https://"))


def is_git(text: str) -> bool:
    """Whether it is a git repository: HTTP addresses are if their path ends in ".git"."""
    if is_url(text):
        return urlsplit(text).path.endswith(".git")
    return text.startswith(("git://", "ssh://")) or _SCP.fullmatch(text) is not None


def is_git_context(text: str) -> bool:
    """The same for a build's context, which may be `github.com/owner/name`, too."""
    return is_git(text) or text.startswith("github.com/")


def absolute(directory: str, path: str) -> str:
    """A destination: seen from a directory, with a "/" at its end where it has to be a directory itself."""
    joined = posixpath.normpath(posixpath.join("/", directory, path))
    joined = "/" + joined.lstrip("/")
    ends = path in ("", ".") or path.endswith(("/", "/."))
    return joined if joined == "/" or not ends else joined + "/"
