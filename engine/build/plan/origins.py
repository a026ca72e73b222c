"""What a text means as a place that files come from. Pure."""

import posixpath


def is_url(text: str) -> bool:
    """Whether it is fetched by HTTP."""
    return text.startswith(("http://", "https://"))


def absolute(directory: str, path: str) -> str:
    """A destination: seen from a directory, with a "/" at its end where it has to be a directory itself."""
    joined = posixpath.normpath(posixpath.join("/", directory, path))
    joined = "/" + joined.lstrip("/")
    ends = path in ("", ".") or path.endswith(("/", "/."))
    return joined if joined == "/" or not ends else joined + "/"
