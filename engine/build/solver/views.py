"""Where the files of a step's inputs are."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from engine.build.refs import Tree
from engine.build.solver.work import Outcome
from engine.build.workspace import Workspaces


class Views:
    """Where the files of inputs are on the host, each mounted when it is asked for."""

    def __init__(self, workspaces: Workspaces, inputs: Sequence[Outcome], stack: AsyncExitStack) -> None:
        self._workspaces = workspaces
        self._inputs = inputs
        self._stack = stack
        self._paths: dict[int, Path] = {}

    async def path(self, number: int) -> Path:
        """The directory of an input."""
        if number not in self._paths:
            output = self._inputs[number].output
            if isinstance(output, Tree):
                self._paths[number] = await output.place()
            else:
                self._paths[number] = await self._stack.enter_async_context(self._workspaces.view(output))
        return self._paths[number]
