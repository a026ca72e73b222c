"""Who waits for a container, while a test does something to it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.unix_http import UnixConnection


class Waiting:
    """Waits for the container "told" from when it is made: the daemon tells at once that it waits."""

    def __init__(self, where: Path, condition: str) -> None:
        self._connection = UnixConnection(where, 60)
        self._connection.request("POST", f"/v1.45/containers/told/wait?condition={condition}")
        self._answer = self._connection.getresponse()
        self._thread = ThreadPoolExecutor(1)
        self._body = self._thread.submit(self._answer.read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=False)
        self._connection.close()

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._body.done()

    def result(self) -> tuple[int, Any, str | None]:
        """What is told then: the status, the body and its type."""
        body = json.loads(self._body.result())
        return self._answer.status, body, self._answer.headers["Content-Type"]
