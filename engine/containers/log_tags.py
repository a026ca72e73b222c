"""The templates of the log option `tag`: what people write of Go's templates in it, as text/template would. Pure.

An action is a field, a field through a function, a label, or a label or variable that LogConfig asks for:
`{{.Name}}`, `{{upper .Name}}`, `{{.Name | upper}}`, `{{truncate .FullID 6}}`, `{{index .ContainerLabels "a.b"}}`,
`{{(.ExtraAttributes nil).KEY}}`.
"""

import os
import re
from collections.abc import Callable, Mapping

import msgspec

import errdefs
from engine.containers.container import Container

_DAEMON = "docker"
_ACTION = re.compile(r"(?:\s*\{\{-|\{\{)\s*(.*?)\s*(?:-\}\}\s*|\}\})", re.DOTALL)
_FIELD = re.compile(r"\.\w+")
_APPLIED = re.compile(r"(?P<function>\w+) (?P<field>\.\w+)|(?P<piped>\.\w+) ?\| ?(?P<through>\w+)")
_TRUNCATED = re.compile(r"truncate (?P<field>\.\w+) (?P<length>\d+)")
_LABEL = re.compile(r'index \.ContainerLabels "(?P<key>[^"\\]*)"|\.ContainerLabels\.(?P<name>\w+)')
_EXTRA = re.compile(r"\(\.ExtraAttributes nil\)\.(?P<key>\w+)")
_FIELDS: Mapping[str, Callable[[Container], str]] = {
    ".ID": lambda container: container.id[:12],
    ".FullID": lambda container: container.id,
    ".ContainerID": lambda container: container.id,
    ".Name": lambda container: container.name,
    ".ContainerName": lambda container: f"/{container.name}",
    # Docker cuts the algorithm off together with most of the digest.
    ".ImageID": lambda container: container.image_id[:12],
    ".ImageFullID": lambda container: container.image_id,
    ".ContainerImageID": lambda container: container.image_id,
    ".ImageName": lambda container: container.image_name,
    ".ContainerImageName": lambda container: container.image_name,
    ".Command": lambda container: " ".join((container.path, *container.args)),
    ".ContainerEntrypoint": lambda container: container.path,
    ".DaemonName": lambda _: _DAEMON,
    ".Hostname": lambda _: os.uname().nodename,
    ".LogPath": lambda container: container.log_path,
}
_FUNCTIONS: Mapping[str, Callable[[str], str]] = {
    "json": lambda text: msgspec.json.encode(text).decode(),
    "lower": str.lower,
    "title": lambda text: re.sub(r"\b[^\W\d_]", lambda letter: letter[0].upper(), text),
    "upper": str.upper,
}


def check(template: str) -> None:
    """InvalidArgument for a template that is none, or has what tags cannot have here."""
    for action in _ACTION.finditer(template):
        _part(action[1], action.start(1))
    if "{{" in _ACTION.sub("", template):
        raise errdefs.InvalidArgument("template: log-tag:1: unclosed action")


def render(template: str, container: Container, extra: Mapping[str, str]) -> str:
    """What a checked template makes of a container; `extra` are the labels and variables that LogConfig asks for."""
    return _ACTION.sub(lambda action: _part(action[1], 0)(container, extra), template)


_Part = Callable[[Container, Mapping[str, str]], str]


def _part(action: str, column: int) -> _Part:
    if _FIELD.fullmatch(action):
        field = _field(action, column)
        return lambda container, _: field(container)
    if match := _LABEL.fullmatch(action):
        key = match["key"] or match["name"] or ""
        return lambda container, _: (container.config.labels or {}).get(key, "")
    if match := _EXTRA.fullmatch(action):
        key = match["key"]
        return lambda _, extra: extra.get(key, "<no value>")
    if match := _TRUNCATED.fullmatch(action):
        field, length = _field(match["field"], column + match.start("field")), int(match["length"])
        return lambda container, _: field(container)[:length]
    if match := _APPLIED.fullmatch(action):
        name, told = match["function"] or match["through"], match["field"] or match["piped"]
        if name not in _FUNCTIONS:
            raise errdefs.InvalidArgument(f'template: log-tag:1: function "{name}" not defined')
        function, field = _FUNCTIONS[name], _field(told, column + action.index(told))
        return lambda container, _: function(field(container))
    raise errdefs.InvalidArgument(
        f"log opt 'tag': {{{{{action}}}}} cannot be in a tag: use fields ({', '.join(sorted(_FIELDS))}), "
        f"functions of one ({', '.join(sorted(_FUNCTIONS))}, truncate), index .ContainerLabels, (.ExtraAttributes nil)"
    )


def _field(name: str, column: int) -> Callable[[Container], str]:
    if name not in _FIELDS:
        raise errdefs.InvalidArgument(
            f'template: log-tag:1:{column}: executing "log-tag" at <{name}>: '
            f"can't evaluate field {name[1:]} in type *logger.Info"
        )
    return _FIELDS[name]
