"""The config of an image whose steps are done: its layers, and a history with times. Pure."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from engine.build.plan.plan import SOURCES, Entry
from engine.build.steps import Copy, Files, Vertex
from engine.images import timestamps
from engine.images.config import History, ImageConfig, RootFS
from engine.version import ENGINE

_COMMENT = "buildkit.dockerfile.v0"
_SECOND = 1_000_000_000


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a step: whether it made a layer, when (Unix nanoseconds), and what the digests of its files are."""

    changed: bool
    created: int
    contents: Sequence[str] = ()


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A file system with what is known of how it came to be."""

    diff_ids: Sequence[str]
    done: Mapping[Vertex, Done]
    epoch: int | None = None
    classic: bool = False
    lines: dict[int, History] = msgspec.field(default_factory=dict)
    """Of the history, by the `id` of their entries: those that are made, for the next configs of the same build."""


def config_of(config: ImageConfig, entries: Sequence[Entry], made: Made) -> ImageConfig:
    """The whole config. `config` has the history of what it stands on; `entries` came since."""
    own = [made.lines.get(id(entry)) or _history(entry, made) for entry in entries]
    made.lines.update((id(entry), line) for entry, line in zip(entries, own, strict=True))
    history = _timed([*config.history, *own])
    whole = msgspec.structs.replace(
        config,
        created=history[-1].created if history else "",
        history=history,
        rootfs=RootFS(diff_ids=list(made.diff_ids)),
    )
    if made.classic and entries:
        command = [word.replace(SOURCES, _sources(entries[-1], made)) for word in entries[-1].command]
        run = msgspec.structs.replace(config.run, cmd=command)
        whole = msgspec.structs.replace(whole, docker_version=ENGINE, container_config=run)
    return whole


def _history(entry: Entry, made: Made) -> History:
    done = made.done.get(entry.vertex) if entry.vertex else None
    created = made.epoch * _SECOND if made.epoch is not None else done.created if done else 0
    text = entry.created_by
    return History(
        created=timestamps.render(created) if created or made.epoch is not None else "",
        created_by=text.replace(SOURCES, _sources(entry, made)) if entry.hashed else text,
        author=entry.author,
        comment="" if made.classic else _COMMENT,
        empty_layer=done is None or not done.changed,
    )


def _sources(entry: Entry, made: Made) -> str:
    """What was copied, as the classic builder tells it: by its digest."""
    done = made.done.get(entry.vertex) if entry.vertex else None
    digests = [each.removeprefix("sha256:") for each in done.contents] if done else []
    if len(digests) == 1:
        return f"multi:{digests[0]}" if _number(entry.vertex) > 1 else f"file:{digests[0]}"
    return f"multi:{hashlib.sha256(','.join(digests).encode()).hexdigest()}"


def _number(vertex: Vertex | None) -> int:
    """How many sources a step copies."""
    actions = vertex.operation.actions if vertex and isinstance(vertex.operation, Files) else ()
    return sum(len(each.sources) for each in actions if isinstance(each, Copy))


def _timed(history: Sequence[History]) -> list[History]:
    """Steps that made no layer have the time of the one before, or of the first one after that made one.

    So what comes from the cache as a whole has the times, and the id, that it had.
    """
    first = next((number for number, each in enumerate(history) if not each.created), len(history))
    before = [each.created for each in history[:first]]
    after = [each.created for each in history[first:] if each.created]
    current = (after or before[-1:] or [""])[0]
    timed: list[History] = []
    for number, each in enumerate(history):
        if each.created and number >= first:
            current = each.created
        timed.append(each if each.created else msgspec.structs.replace(each, created=current))
    return timed
