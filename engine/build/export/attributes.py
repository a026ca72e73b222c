"""What clients write beside the type of an exporter: `-o type=image,name=…,push=true`."""

from collections.abc import Mapping, Sequence

import errdefs
from engine.build.request import Target
from engine.images import reference
from engine.images.reference import Reference
from engine.images.tag import require_tag

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_FIXED = {
    "compression": ("", "gzip", "uncompressed"),
    "oci-mediatypes": ("", *_TRUE),
    "push-by-digest": tuple(_FALSE),
    "rewrite-timestamp": tuple(_FALSE),
    "name-canonical": tuple(_FALSE),
    "oci-artifact": tuple(_FALSE),
}
"""What would make another result with other values than these."""


def flag(attributes: Mapping[str, str], name: str, *, default: bool) -> bool:
    """An attribute that is true or false; one without a value is true. InvalidArgument otherwise."""
    text = attributes.get(name)
    if text is None:
        return default
    if text == "" or text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise errdefs.InvalidArgument(f'non-bool value specified for {name}: invalid value "{text[:64]}"')


def names(target: Target) -> list[Reference]:
    """The tags that an image is to get, each once. InvalidArgument for what is none."""
    return tags(target.attributes.get("name", "").split(","))


def tags(texts: Sequence[str]) -> list[Reference]:
    """The same of a list; empty ones are left out."""
    found: dict[str, Reference] = {}
    for text in texts:
        if text:
            name = reference.parse(text)
            if name.digest:
                raise errdefs.InvalidArgument("build tag cannot contain a digest")
            require_tag(name)
            tagged = name.with_default_tag()
            found.setdefault(tagged.canonical, tagged)
    return list(found.values())


def require_supported(target: Target) -> None:
    """Pass if the result can be made as asked. Unsupported names what cannot."""
    for name, allowed in _FIXED.items():
        text = target.attributes.get(name)
        if text is not None and text not in allowed:
            raise errdefs.Unsupported(f"exporter {target.kind}: {name}={text[:64]} is not supported")
    for name in target.attributes:
        if name.startswith("annotation"):
            raise errdefs.Unsupported(f"exporter {target.kind}: annotations are not supported ({name[:64]})")
