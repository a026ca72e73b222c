"""What each record of a log says beside its line: labels, variables and a tag, as LogConfig asks. Pure.

The rules are Docker's (logger.Info): `labels` and `env` name keys, parted by commas; `labels-regex` and
`env-regex` match them anywhere; of one key variables win over labels, and the tag over both.
"""

from collections.abc import Mapping

import msgspec

import errdefs
from engine.containers import log_tags
from engine.containers.container import Container
from engine.expressions import compile_bounded

# Go's encoder makes JSON that may stand in HTML.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def check(options: Mapping[str, str]) -> None:
    """Pass if the options can be obeyed. InvalidArgument for a bad expression or an action that a tag cannot have."""
    for name in ("labels-regex", "env-regex"):
        try:
            compile_bounded(options.get(name, ""))
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(f"log opt '{name}': {error.message}") from None
    log_tags.check(options.get("tag", ""))


def attributes(container: Container, options: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a container's records, none where nothing is asked."""
    found, told = chosen(container, options), tag(container, options)
    return {**found, "tag": told} if told else found


def tag(container: Container, options: Mapping[str, str], default: str = "") -> str:
    """What the option `tag` makes of a container."""
    return log_tags.render(options.get("tag") or default, container, chosen(container, options))


def chosen(container: Container, options: Mapping[str, str]) -> dict[str, str]:
    """The labels and variables that are asked for."""
    labels = container.config.labels or {}
    pairs = [entry.partition("=") for entry in container.config.env or ()]
    variables = {name: value for name, equals, value in pairs if equals}
    found = _matching(labels, options.get("labels", ""), options.get("labels-regex", ""))
    return found | _matching(variables, options.get("env", ""), options.get("env-regex", ""))


def encode(found: Mapping[str, str]) -> bytes:
    """The attributes as dockerd writes them into a record, b"" for none."""
    if not found:
        return b""
    text = msgspec.json.encode(dict(sorted(found.items()))).decode()
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text.encode()


def _matching(values: Mapping[str, str], names: str, expression: str) -> dict[str, str]:
    chosen = {name: values[name] for name in names.split(",") if name in values}
    if expression:
        matches = compile_bounded(expression).search
        chosen |= {name: value for name, value in values.items() if matches(name)}
    return chosen
