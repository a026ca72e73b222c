"""The ways in to BuildKit's API, and what is said to whoever asks for them wrongly."""

from typing import Any, cast

import pytest

import errdefs
from api.authz.authorization import Authorization
from tests.unit.api.conftest import Served


@pytest.mark.parametrize("path", ["/grpc", "/session", "/v1.45/grpc"])
@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "no upgrade proto in request"),
        ({"Connection": "Upgrade", "Upgrade": "tcp"}, "protocol tcp not supported"),
    ],
)
async def test_only_h2c_can_be_upgraded_to(
    served: Served, path: str, headers: dict[str, str], text: str
) -> None:
    asked = {"X-Docker-Expose-Session-Uuid": "s", **headers}
    assert await served.ask("POST", path, headers=asked) == (400, {"message": text})


async def test_a_session_has_an_id(served: Served) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "h2c"}
    status, body = await served.ask("POST", "/session", headers=headers)
    assert status == 400
    assert "X-Docker-Expose-Session-Uuid" in body["message"]


async def test_an_upgrade_is_answered_as_docker_does(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(
        b"POST /grpc HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head == b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    settings = await reader.readexactly(9)
    assert (settings[3], settings[4]) == (4, 0)  # SETTINGS come first, unasked


class Judges:
    """Plugins of which one refuses."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.client = self

    async def get(self, name: str, kind: str) -> "Judges":
        del name, kind
        return self

    async def call(self, verb: str, told: dict[str, Any]) -> dict[str, Any]:
        self.told.append(told)
        return {"Allow": "Solve" not in told["RequestUri"], "Msg": "no builds"}


async def test_plugins_are_asked_about_every_call_of_a_connection_that_begins_with_http_2() -> None:
    judges = Judges()
    authorization = Authorization(cast("Any", judges), ["judge"])
    await authorization.ask_call(None, "/moby.buildkit.v1.Control/Info", [("user-agent", "x")])
    with pytest.raises(errdefs.Forbidden, match="denied by plugin judge: no builds"):
        await authorization.ask_call(None, "/moby.buildkit.v1.Control/Solve", [])
    assert judges.told[0] == {
        "RequestMethod": "POST",
        "RequestUri": "/moby.buildkit.v1.Control/Info",
        "RequestHeaders": {"User-Agent": "x"},
    }
    await Authorization(cast("Any", judges), []).ask_call(None, "/moby.buildkit.v1.Control/Solve", [])
