"""Steps that change files: carried out, and what they copy digested."""

from collections.abc import Sequence
from pathlib import Path

from engine.build import steps
from engine.build.refs import SCRATCH, Layer, Ref
from engine.build.workspace import Holds, Workspaces
from runtime.copying import order
from runtime.copying.workers import Workers


class Copier:
    """Carries out `Files`. Failures are NotFound and InvalidArgument in BuildKit's words, and SystemFailure."""

    def __init__(self, workspaces: Workspaces, workers: Workers) -> None:
        """Work is done in `workspaces`, by `workers`."""
        self._workspaces = workspaces
        self._workers = workers

    async def run(self, step: steps.Files, root: Ref, sources: Sequence[Path], holds: Holds) -> Layer | None:
        """Do a step on a root; its layer, which is held, None if it changed nothing.

        `sources` are the directories of the step's inputs from 1 on, which do not change meanwhile. The layers of
        `root` are held.
        """
        base = SCRATCH if step.link else root
        async with self._workspaces.writable(base, holds) as workspace:
            actions = [_action(action) for action in step.actions]
            await self._workers.change(workspace.root, sources, actions, step.epoch)
            layer = await workspace.commit()
        if layer is None or not step.link or not root.layers:
            return layer
        return await self._workspaces.stack(root, layer, holds)

    async def digest(self, source: Path, copy: steps.Copy) -> str:
        """The digest of what a copy selects in a directory. NotFound in BuildKit's words for what is not there."""
        return await self._workers.digest(source, _selection(copy))

    async def digest_path(self, source: Path, path: str) -> str:
        """The digest of what is at a path of a directory, with all in it. NotFound as `digest`."""
        return await self._workers.digest_path(source, path or "/")


def _action(action: steps.Action) -> order.Action:
    if isinstance(action, steps.Copy):
        return order.CopyFiles(
            source=action.source - 1,
            selection=_selection(action),
            destination=action.destination,
            owner=action.owner,
            mode=action.mode,
            unpack=action.unpack,
        )
    if isinstance(action, steps.MakeFile):
        return order.MakeFile(
            destination=action.destination,
            name=action.name,
            content=action.content.decode("latin-1"),
            owner=action.owner,
            mode=action.mode,
        )
    return order.MakeDirectory(path=action.path, owner=action.owner)


def _selection(copy: steps.Copy) -> order.Selection:
    return order.Selection(
        paths=list(copy.sources),
        parents=copy.parents,
        exclude=list(copy.exclude),
        keyword=copy.keyword,
        several=copy.several,
    )
