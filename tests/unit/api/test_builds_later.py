"""What serves builds is loaded for the first who asks, once, and after a failure again."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

import pytest

from api.authz.authorization import Authorization
from api.builds import Builds
from api.preface import PREFACE
from tests.unit.api.conftest import Served

BUILDERS = (
    "google",
    "h2",
    "engine.build.assembly",
    "engine.build.builds",
    "api.buildkit.service",
    "api.routes.build",
)
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # an empty frame of them


def test_a_start_loads_nothing_of_it() -> None:
    code = "import sys, api.daemon; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True, text=True)
    loaded = set(ran.stdout.split())
    assert "api.daemon" in loaded
    assert loaded.isdisjoint(BUILDERS)


async def test_many_who_ask_at_once_load_it_once(served: Served) -> None:
    answers = await asyncio.gather(*(served.ask("POST", f"/build/cancel?id={n}") for n in range(5)))
    assert [status for status, _ in answers] == [200] * 5
    assert sorted(served.engine.building.classic.cancelled) == [str(n) for n in range(5)]
    assert served.engine.building.loaded == 1


@pytest.mark.parametrize("kind", [ImportError, AttributeError, SyntaxError, TypeError])
async def test_a_load_that_fails_is_one_requests_failure(
    served: Served, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """As one whose code was replaced meanwhile does."""
    served.engine.building.failure = kind("the disk is gone")
    status, body = await served.ask("POST", "/build/cancel?id=x")
    assert status == 500
    assert body["message"] == (
        "what builds cannot be loaded: the disk is gone; if wherry was upgraded, restart the daemon"
    )
    assert "what builds cannot be loaded" in caplog.text
    served.engine.building.failure = None
    assert (await served.ask("POST", "/build/cancel?id=x"))[0] == 200
    assert served.engine.building.loaded == 2


@pytest.fixture
async def builds(served: Served) -> AsyncIterator[Builds]:
    """What a server with HTTP/2 gives connections to."""
    builds = Builds(cast("Any", served.engine), ())
    nobody = Authorization(cast("Any", None), ())
    served.server.http2 = partial(builds.begin, admit=partial(nobody.ask_call, None))
    yield builds
    await builds.close()


async def test_a_connection_that_begins_with_http_2_waits_for_it(served: Served, builds: Builds) -> None:
    reader, writer = await served.connect()
    writer.write(PREFACE)
    writer.write(SETTINGS)
    answer = await reader.readexactly(9)
    assert (answer[3], answer[4]) == (4, 0)  # SETTINGS of the server, not an answer to the client's
    assert served.engine.building.loaded == 1


async def test_a_connection_whose_load_fails_is_closed(
    served: Served, builds: Builds, caplog: pytest.LogCaptureFixture
) -> None:
    served.engine.building.failure = ImportError("the disk is gone")
    assert await served.raw(PREFACE + SETTINGS) == b""
    assert "the disk is gone" in caplog.text


async def test_a_client_that_has_gone_when_it_is_loaded_is_nobodys_error(
    served: Served, builds: Builds, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await served.connect()
    writer.write(PREFACE)
    await served.hang_up(writer)
    for _ in range(500):
        if served.engine.building.loaded and not served.server.connected:
            break
        await asyncio.sleep(0.01)
    assert (served.engine.building.loaded, served.server.connected) == (1, 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
