"""What a step is found again by: what it does, what it does it to, and the content of all that it takes.

Never by its config alone: a key has the root's chain id, which is a digest of content, or it has nothing to do with
the root. Pure.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from engine.build.dockerfile.text import quoted
from engine.build.plan.plan import NOTHING, ordered
from engine.build.refs import Output, Ref, Tree
from engine.build.steps import Action, Copy, Files, Operation, Run, RunMount, Vertex

_VERSION = "wherry.build.v1"
_PLAIN = (str, int, bool, type(None))


def key_of(operation: Files | Run, root: Ref, contents: Sequence[str]) -> str:
    """The cache key of a step on a root; `contents` are the digests of what it copies or mounts, in its own order."""
    if isinstance(operation, Run):
        said = _plain(msgspec.structs.replace(operation, proxy={}, limits=type(operation.limits)()))
        below = root.chain_id
    else:
        said = _plain(
            msgspec.structs.replace(operation, actions=[_done(action) for action in operation.actions])
        )
        below = "" if operation.link else root.chain_id
    return _digest([_VERSION, type(operation).__name__, said, below, list(contents)])


def _done(action: Action) -> Action:
    """What an action does. How Docker's first builder counts what it finds is heeded before, when that is digested."""
    return msgspec.structs.replace(action, keyword="", several=True) if isinstance(action, Copy) else action


def taken(operation: Operation) -> list[Copy | RunMount]:
    """What a step takes from its inputs beside the root, in the order of `contents`."""
    if isinstance(operation, Files):
        return [action for action in operation.actions if isinstance(action, Copy)]
    if isinstance(operation, Run):
        return [mount for mount in operation.mounts if mount.source is not None]
    return []


def selector(take: Copy | RunMount, output: Output) -> str:
    """What names the content of a selection; "" for a directory of which nothing is known."""
    if isinstance(output, Tree) and not output.content:
        return ""
    named = output.chain_id if isinstance(output, Ref) else f"tree {output.content}"
    if isinstance(take, RunMount):
        return _digest([named, "path", take.path])
    kept = [take.sources, take.parents, list(take.exclude), take.keyword, take.several]
    return _digest([named, "copy", _plain(kept)])


class Numbers:
    """Vertices' names where none is ever shown, as in the words of Docker's first builder."""

    def __init__(self) -> None:
        self._known: dict[Vertex, str] = {}

    def __call__(self, vertex: Vertex) -> str:
        """What names a vertex within one build."""
        return self._known.setdefault(vertex, f"sha256:{len(self._known):064x}")


class Digests:
    """Vertices' names in the progress of one build."""

    def __init__(self) -> None:
        self._known: dict[Vertex, str] = {}

    def __call__(self, vertex: Vertex) -> str:
        """The digest of a vertex: the same for all that are called the same and do the same."""
        if vertex not in self._known:
            for each in ordered([vertex]):
                inputs = [self._known[one] for one in each.inputs if one is not NOTHING]
                self._known[each] = _digest([each.name, repr(each.operation), inputs])
        return self._known[vertex]


def named(name: str) -> str:
    """The digest of something in the progress that is no vertex of a plan."""
    return _digest([quoted(name)])


def _plain(value: object) -> object:
    """A value as JSON has it, with the names of fields, so that no two different ones look the same."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, msgspec.Struct):
        told = msgspec.structs.asdict(value)
        return [type(value).__name__, {name: _plain(each) for name, each in told.items()}]
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in sorted(value.items())}
    return value


def _digest(value: object) -> str:
    return "sha256:" + hashlib.sha256(msgspec.json.encode(value)).hexdigest()
