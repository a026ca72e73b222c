"""A daemon to be killed: runs one container as told on stdin (a TaskRequest's fields), then sleeps.

It says "opened", "created" and "started" when that is so.
"""

import asyncio
import json
import sys
from pathlib import Path

from runtime.supervisor import Supervisor
from runtime.task_values import LogFile, Runtime, TaskRequest


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    supervisor = await Supervisor.open(Path(order["exec_root"]), faults=order["faults"])
    say("opened")
    request = TaskRequest(
        id=order["id"],
        bundle=Path(order["bundle"]),
        runtime=Runtime(name="runc", path="runc"),
        open_stdin=order["open_stdin"],
        stdin_once=order["open_stdin"],
        log=LogFile(path=Path(order["log"])),
    )
    task = await supervisor.create(request, Path(order["state_dir"]))
    say("created")
    if order["start"]:
        await task.start()
        say("started")
    await asyncio.sleep(60)


def say(word: str) -> None:
    print(word, flush=True)


asyncio.run(main())
