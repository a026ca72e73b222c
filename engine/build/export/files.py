"""Exports of the files themselves: into a directory of the client (`type=local`), or as a tar archive."""

from contextlib import aclosing

import errdefs
from engine.build.export.reporting import Reporting
from engine.build.request import Target
from engine.build.results import Result
from engine.build.session import Session
from engine.build.workspace import Workspaces
from runtime.layers.pack import pack


class FilesExporter:
    """Sends files to the client."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def run(
        self, target: Target, result: Result, session: Session, report: Reporting
    ) -> dict[str, str]:
        """No answers. Unsupported for the files of several platforms."""
        if len(result.images) != 1:
            raise errdefs.Unsupported(f"exporter {target.kind}: several platforms at once are not supported")
        async with self._workspaces.view(result.only.ref) as root:
            if target.kind == "local":
                async with report.counted("copying files") as meter:
                    await session.send_directory(target.id, root, meter)
            else:
                async with report.counted("sending tarball") as meter, aclosing(pack(root)) as chunks:
                    await session.send_file(target.id, chunks, {}, meter)
        return {}
