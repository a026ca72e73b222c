"""Lines of progress: who fails and who goes away, and that nothing is said of it behind everybody's back."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from engine.images.lines import Lines
from engine.progress import Message


async def _gone(_: Message) -> None:
    raise ConnectionResetError


async def _taken(_: Message) -> None:
    pass


def _complaints(run: Coroutine[Any, Any, None]) -> list[dict[str, Any]]:
    """What asyncio has to say to the log."""
    found: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
        await run
        gc.collect()

    asyncio.run(main())
    return found


def test_a_client_that_is_gone_ends_the_work() -> None:
    async def run() -> None:
        lines = Lines(_gone)
        lines.post(Message(status="x"))
        with pytest.raises(ConnectionResetError):
            await lines.during(asyncio.sleep(60))

    assert _complaints(run()) == []


def test_the_failure_of_the_work_is_told() -> None:
    async def fail() -> None:
        raise ValueError

    async def run() -> None:
        with pytest.raises(ValueError):
            await Lines(_taken).during(fail())

    assert _complaints(run()) == []


def test_a_client_that_goes_while_the_work_is_given_up() -> None:
    """Its connection breaks, and the request is cancelled: both at once."""

    async def run() -> None:
        lines = Lines(_gone)
        asking = asyncio.get_running_loop().create_task(lines.during(asyncio.sleep(60)))
        await asyncio.sleep(0)
        lines.post(Message(status="x"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    assert _complaints(run()) == []
