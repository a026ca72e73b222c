"""Fields between commas, as in the flags of RUN: a field may be in double quotes, and then has "" for one of them."""

import errdefs


def fields(text: str) -> list[str]:
    """The fields of one line. InvalidArgument for quotes where none may be."""
    found: list[str] = []
    at = 0
    while True:
        if text[at : at + 1] == '"':
            field, at = _quoted(text, at + 1)
        else:
            end = text.find(",", at)
            field, at = (text[at:], len(text)) if end < 0 else (text[at:end], end)
            if '"' in field:
                raise errdefs.InvalidArgument(f'bare " in non-quoted field: {field}')
        found.append(field)
        if at >= len(text):
            return found
        at += 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while (end := text.find('"', at)) >= 0:
        parts.append(text[at:end])
        following = text[end + 1 : end + 2]
        if following in ("", ","):
            return "".join(parts), end + 1
        if following != '"':
            break
        parts.append('"')
        at = end + 2
    raise errdefs.InvalidArgument(f'extraneous or missing " in quoted-field: {text}')
