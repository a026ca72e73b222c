"""Requests that last: they end with their client or with the server, whether anything is written to it or not."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from api import web
from api.connection import Connection


class Stream:
    """Something that lasts: its task is cancelled when the client goes or the server ends."""

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self.ended = False

    def end(self) -> None:
        """End it, once."""
        if not self.ended:
            self.ended = True
            self._task.cancel()


@contextlib.contextmanager
def while_connected(request: web.BaseRequest) -> Iterator[None]:
    """Run the body while the client listens; it is left silently when the client goes or the server ends."""
    connection = request.protocol
    task = asyncio.current_task()
    assert isinstance(connection, Connection)
    assert task is not None
    stream = Stream(task)
    connection.watch(stream)
    try:
        yield
    except ConnectionError:
        pass
    except asyncio.CancelledError:
        if not stream.ended or task.uncancel() > 0:
            raise
    finally:
        connection.unwatch(stream)
