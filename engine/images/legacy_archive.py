"""What archives of docker before 1.10 say: a directory `<id>/{json,layer.tar}` for each layer, and `repositories`.

Every layer is an image there, whose parent its `json` names. The configs that are made of them have the ids that
dockerd 26 gives to the same images, so they are written as its encoder writes (moby's image/v1 and encoding/json).
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

import errdefs
from engine.containers.config import ContainerConfig
from engine.images import config, documents, reference, timestamps
from engine.images.config import History, ImageConfig, RootFS
from engine.images.reference import Reference

REPOSITORIES = "repositories"
JSON = "json"
LAYER = "layer.tar"

_ID = re.compile(r"[0-9A-Za-z_.-]{1,128}")
_VERBATIM_SINCE = (1, 8, 3)
"""The version of docker from which on a layer's `json` holds what its author meant, unknown fields and all."""
_V1_ONLY = frozenset({"id", "parent", "Size", "parent_id", "layer_id", "throwaway"})
_OMITTED_IF_EMPTY = frozenset(
    {
        "ExposedPorts",
        "Healthcheck",
        "ArgsEscaped",
        "NetworkDisabled",
        "MacAddress",
        "StopSignal",
        "StopTimeout",
        "Shell",
    }
)
_MAPS = ("ExposedPorts", "Volumes", "Labels")
_SPACE = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_ESCAPED = {
    b"<": rb"\u003c",
    b">": rb"\u003e",
    b"&": rb"\u0026",
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
}


class V1(msgspec.Struct, kw_only=True):
    """A layer's `json`: what is read of it."""

    parent: str = ""
    comment: str = ""
    created: str | None = None  # RFC 3339
    container: str = ""
    container_config: ContainerConfig = msgspec.field(default_factory=ContainerConfig)
    docker_version: str = ""
    author: str = ""
    config: ContainerConfig | None = None
    architecture: str = ""
    variant: str = ""
    os: str = ""

    @property
    def made_for(self) -> ImageConfig:
        """A config that says what it is for, and nothing else."""
        return ImageConfig(os=self.os, architecture=self.architecture, variant=self.variant)


def read(raw: bytes) -> V1:
    """A layer's `json`. InvalidArgument for what is none."""
    found = documents.read(raw, V1, "image JSON")
    timestamps.parse(found.created or "")
    return found


def ids(paths: Iterable[str]) -> list[str]:
    """The directories of an archive, which are its images by their old ids. InvalidArgument for an odd name."""
    found = sorted({path.partition("/")[0] for path in paths if "/" in path})
    for old in found:
        _require_id(old)
    return found


def names(raw: bytes) -> dict[str, list[Reference]]:
    """The tags that `repositories` gives, by old id. InvalidArgument for what are no tags."""
    document = documents.decode(raw, "archive: failed to decode repositories")
    repositories = documents.shape(
        {} if document is None else document,
        dict[str, dict[str, str]],
        "archive: failed to decode repositories",
    )
    found: dict[str, list[Reference]] = {}
    for repository, tagged in sorted(repositories.items()):
        named = reference.parse(repository)
        if named.digest:
            raise errdefs.InvalidArgument(f'invalid repository "{repository}"')
        for tag, old in sorted(tagged.items()):
            found.setdefault(old, []).append(named.with_tag(tag))
    return found


def require_targets(named: Iterable[str], present: Iterable[str]) -> None:
    """Pass if all that names stand for is in the archive. InvalidArgument in Docker's words otherwise."""
    for old in sorted(set(named) - set(present)):
        _require_id(old)
        raise errdefs.InvalidArgument(f"invalid target ID: {old}")


def parents_first(parents: Mapping[str, str], wanted: Iterable[str]) -> list[str]:
    """The wanted images and all below them, in the order in which they can be made; `parents` is by old id.

    InvalidArgument for a parent that is missing, for parents in a circle, and for too many of them.
    """
    depths: dict[str, int] = {"": 0}
    for old in wanted:
        chain: list[str] = []
        while old not in depths:
            if old in chain:
                raise errdefs.InvalidArgument(f'invalid archive: the parents of image "{old}" are a circle')
            if old not in parents:
                _require_id(old)
                raise errdefs.InvalidArgument(
                    f'invalid archive: parent "{old}" of image "{chain[-1]}" is missing'
                )
            chain.append(old)
            if len(chain) > config.MAX_LAYERS:
                break
            old = parents[old]
        depth = depths.get(old, 0)
        if depth + len(chain) > config.MAX_LAYERS:
            raise errdefs.InvalidArgument(f"max depth exceeded: {config.MAX_LAYERS} layers at most")
        for each in reversed(chain):
            depths[each] = depth = depth + 1
    return [old for old in depths if old]


def image_config(raw: bytes, diff_ids: Sequence[str], below: bytes | None) -> bytes:
    """The config of an image: of its `json`, its layers from the lowest up, and the config of its parent."""
    v1 = read(raw)
    verbatim = _version(v1.docker_version) >= _VERBATIM_SINCE
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) if verbatim else _members(v1)
    said = {key: _compact(bytes(value)) for key, value in members.items() if key not in _V1_ONLY}
    said["rootfs"] = msgspec.json.encode(RootFS(diff_ids=list(diff_ids)))
    said["history"] = msgspec.json.encode([*_history(below), _step(v1)])
    raws = {key: msgspec.Raw(value) for key, value in said.items()}
    return _escape(msgspec.json.encode(raws, order="deterministic"))


class _Below(msgspec.Struct):
    history: list[msgspec.Raw]


def _history(below: bytes | None) -> list[msgspec.Raw]:
    return msgspec.json.decode(below, type=_Below).history if below else []


def _step(v1: V1) -> History:
    return History(
        created=timestamps.tidy(v1.created or ""),
        created_by=" ".join(v1.container_config.cmd or ()),
        author=v1.author,
        comment=v1.comment,
    )


def _members(v1: V1) -> dict[str, msgspec.Raw]:
    """What docker before 1.8.3 knew of an image; all else that its `json` says is left out."""
    texts = ("architecture", "author", "comment", "container", "docker_version", "os", "variant")
    said: dict[str, object] = {name: text for name in texts if (text := getattr(v1, name))}
    said["created"] = timestamps.tidy(v1.created) if v1.created else None
    said["container_config"] = _given(v1.container_config)
    if v1.config is not None:
        said["config"] = _given(v1.config)
    return {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in said.items()}


def _given(section: ContainerConfig) -> dict[str, object]:
    """A container config with the members, and in the order, of Go's."""
    document: dict[str, object] = msgspec.to_builtins(section)
    for name in _MAPS:
        held = document[name]
        if isinstance(held, dict):
            document[name] = {key: held[key] if name == "Labels" else {} for key in sorted(held)}
    probe = document["Healthcheck"]
    if isinstance(probe, dict):
        document["Healthcheck"] = {key: value for key, value in probe.items() if value} or msgspec.Raw(b"{}")
    return {
        key: value
        for key, value in document.items()
        if key not in _OMITTED_IF_EMPTY or not (value is None or value is False or value in ("", [], {}))
    }


def _compact(value: bytes) -> bytes:
    return _SPACE.sub(lambda found: found.group(1) or b"", value)


def _escape(document: bytes) -> bytes:
    """A document with what Go's encoder escapes beyond need; it stands in strings alone."""
    for plain, escaped in _ESCAPED.items():
        document = document.replace(plain, escaped)
    return document


def _version(text: str) -> tuple[int, ...]:
    """A version as Docker compares them: what is no number is 0, and so is what is not there."""
    parts = [int(part) if _NUMBER.fullmatch(part) else 0 for part in text.split(".")]
    return tuple([*parts, 0, 0, 0][: max(3, len(parts))])


def _require_id(old: str) -> None:
    if not _ID.fullmatch(old):
        raise errdefs.InvalidArgument(f"invalid archive: {old[:80]!r} is no image ID")
