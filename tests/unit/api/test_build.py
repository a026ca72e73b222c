"""What `POST /build` asks the engine for, and what it answers."""

import base64
import json
from typing import Any

import pytest

import errdefs
from engine.build.classic import StepError
from engine.build.steps import Limits
from engine.containers.config import Ulimit
from tests.unit.api.conftest import Served

ID = "sha256:" + "5" * 64


async def stream(served: Served, query: str = "", **options: Any) -> list[dict[str, Any]]:
    """The messages of a build."""
    async with served.session.post(f"http://d/v1.45/build{query}", **options) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        return [json.loads(line) for line in (await answer.read()).splitlines()]


async def test_what_is_asked(served: Served) -> None:
    config = {"https://index.docker.io/v1/": {"username": "u", "password": "p"}}
    await stream(
        served,
        "?t=a&t=b:1&dockerfile=sub/D&target=x&nocache=1&pull=1&rm=0&forcerm=1&networkmode=none&remote=http://h/c"
        '&buildargs={"A":"1","B":null}&labels={"l":"v"}&cachefrom=["c"]&extrahosts=h:1.2.3.4&extrahosts=i:::1'
        "&memory=7&memswap=-1&cpushares=2&cpuperiod=3&cpuquota=4&cpusetcpus=0&cpusetmems=1&shmsize=5&cgroupparent=p"
        '&ulimits=[{"Name":"nofile","Soft":1,"Hard":2}]&platform=linux/arm64&buildid=mine',
        data=b"context",
        headers={"X-Registry-Config": base64.urlsafe_b64encode(json.dumps(config).encode()).decode()},
    )
    (asked,), (context,) = served.engine.building.classic.asked, served.engine.building.classic.contexts
    assert context == b"context"
    assert (asked.tags, asked.cache_from) == (["a", "b:1"], ["c"])
    assert (asked.remove, asked.force_remove, asked.names_images) == (False, True, True)
    assert asked.credentials["https://index.docker.io/v1/"].password == "p"
    request = asked.request
    assert (request.id, request.filename, request.target, request.remote) == (
        "mine",
        "sub/D",
        "x",
        "http://h/c",
    )
    assert (request.arguments, request.labels) == ({"A": "1", "B": None}, {"l": "v"})
    assert (request.no_cache_stages, request.pull, request.network, request.classic) == (
        (),
        True,
        "none",
        True,
    )
    assert (request.platforms, request.extra_hosts) == (["linux/arm64"], ["h:1.2.3.4", "i:::1"])
    assert request.limits == Limits(
        memory=7, memory_swap=-1, cpu_shares=2, cpu_period=3, cpu_quota=4, cpuset_cpus="0", cpuset_mems="1",
        shm_size=5, cgroup_parent="p", ulimits=[Ulimit(name="nofile", soft=1, hard=2)],
    )  # fmt: skip


async def test_what_is_not_asked(served: Served) -> None:
    await stream(served, "?networkmode=bridge&memory=many&rm=")
    (asked,) = served.engine.building.classic.asked
    assert (asked.remove, asked.force_remove, asked.tags, asked.credentials) == (True, False, [], {})
    request = asked.request
    assert (request.filename, request.no_cache_stages, request.network) == ("Dockerfile", None, "default")
    assert request.limits == Limits()


@pytest.mark.parametrize(
    ("version", "names", "platforms"),
    [("1.29", False, []), ("1.30", True, []), ("1.31", True, []), ("1.32", True, ["linux/amd64"])],
)
async def test_versions(served: Served, version: str, names: bool, platforms: list[str]) -> None:
    await served.ask("POST", f"/v{version}/build?platform=linux/amd64")
    (asked,) = served.engine.building.classic.asked
    assert (asked.names_images, asked.request.platforms) == (names, platforms)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("squash=1", "squash is only supported with experimental mode"),
        ("securityopt=x", "security options are not supported on linux"),
        ("isolation=hyperv", 'unsupported isolation: "hyperv"'),
        ("version=3", 'invalid version "3"'),
        ("outputs=x", "invalid outputs specified: "),
        ("buildargs=[]", "error reading build args: "),
        ("labels=x", "error reading labels: "),
        ("cachefrom={}", "error reading cache-from: "),
        ("ulimits=x", "error reading ulimit settings: "),
        ("shmsize=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("platform=a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'),
    ],
)
async def test_refusals(served: Served, query: str, text: str) -> None:
    status, body = await served.ask("POST", f"/v1.45/build?{query}")
    assert status == 400
    assert body["message"].startswith(text)
    assert served.engine.building.classic.asked == []


async def test_outputs_are_read_since_1_40(served: Served) -> None:
    assert (await served.ask("POST", "/v1.39/build?outputs=x"))[0] == 200
    assert (await served.ask("POST", '/v1.40/build?outputs=[{"Type":"local","Attrs":{"dest":"x"}}]'))[
        0
    ] == 200


async def test_the_second_version_is_served_elsewhere(served: Served) -> None:
    status, body = await served.ask("POST", "/build?version=2")
    assert status == 501
    assert "POST /grpc" in body["message"]


async def test_the_stream(served: Served) -> None:
    served.engine.building.classic.says = ["Step 1/1 : FROM x", "\n"]
    assert await stream(served) == [{"stream": "Step 1/1 : FROM x"}, {"stream": "\n"}]
    assert await stream(served, "?q=1") == [{"stream": f"{ID}\n"}]


async def test_a_failed_step_is_told_in_the_stream(served: Served) -> None:
    served.engine.building.classic.failure = StepError("it ended", 3)
    told = {"error": "it ended", "errorDetail": {"code": 3, "message": "it ended"}}
    assert await stream(served) == [told]
    served.engine.building.classic.says = ["Step 1/1"]
    assert await stream(served, "?q=1") == [{"stream": "Step 1/1"}, told], "all that was held back"


async def test_other_failures_are_told_by_status_first(served: Served) -> None:
    served.engine.building.classic.failure = errdefs.InvalidArgument("bad")
    assert await served.ask("POST", "/build") == (400, {"message": "bad"})
    served.engine.building.classic.says = ["x"]
    assert (await stream(served))[1]["error"] == "bad"


async def test_cancel(served: Served) -> None:
    assert await served.ask("POST", "/build/cancel") == (400, {"message": "build ID not provided"})
    assert (await served.ask("POST", "/build/cancel?id=mine"))[0] == 200
    assert served.engine.building.classic.cancelled == ["mine"]


@pytest.mark.parametrize(
    "header", ["", "!", "e30", "bnVsbA==", base64.urlsafe_b64encode(b'{"a":5}').decode()]
)
async def test_credentials_that_are_none(served: Served, header: str) -> None:
    await stream(served, headers={"X-Registry-Config": header})
    assert served.engine.building.classic.asked[0].credentials == {}
