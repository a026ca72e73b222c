"""Daemons to be killed, and who comes after them."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from runtime.task import Task
from runtime.task_values import Exit
from tests.integration.runtime.conftest import RUNC, Containers

REPOSITORY = Path(__file__).resolve().parents[3]
SHIM_DIED = "its shim died, and the container was killed"


class Mortal:
    """A daemon in a process of its own, to be killed."""

    def __init__(
        self,
        box: Containers,
        args: list[str],
        *,
        start: bool = True,
        faults: str = "",
        open_stdin: bool = False,
    ) -> None:
        request = box.request(args)
        self.id = request.id
        order = {
            "exec_root": str(box.exec_root),
            "id": request.id,
            "bundle": str(request.bundle),
            "state_dir": str(box.state_dir(request.id)),
            "log": str(box.log(request.id)),
            "start": start,
            "open_stdin": open_stdin,
            "faults": faults,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.runtime.mortal"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if faults else None,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    async def until(self, word: str) -> None:
        """Wait until it has said `word`."""
        assert self.process.stdout is not None
        while (line := await asyncio.to_thread(self.process.stdout.readline)).strip() != word:
            assert line, f"it ended before it was {word}"

    def kill(self) -> None:
        """Kill it, and see it die."""
        self.process.kill()
        self.process.communicate()


async def adopt(box: Containers, container_id: str) -> Task | Exit | None:
    """Adopt by a new supervisor."""
    supervisor = box.supervisor or await box.open()
    return await supervisor.adopt(container_id, box.state_dir(container_id), RUNC)
