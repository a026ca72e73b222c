"""Answers that last: logs, wait, events, load, pull, import."""

import asyncio
import base64
import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest

import errdefs
from api import hijack
from engine.events.event import Event
from engine.images.platforms import Platform
from engine.progress import Message, ProgressDetail
from engine.registry.credentials import Credentials
from tests.unit.api.conftest import Served
from tests.unit.api.samples import ID, IMAGE_ID, image

START = Event(
    type="container",
    action="start",
    actor_id=ID,
    attributes={"image": "bb:1"},
    time_ns=1_700_000_000_000_000_001,
)
IMAGE_CREATE = Event(type="image", action="create", actor_id="sha256:x", attributes={}, time_ns=5)


async def head_of(served: Served, request: bytes) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """The head of an answer, and the connection."""
    reader, writer = await served.connect()
    writer.write(request + b" HTTP/1.1\r\nHost: d\r\n\r\n")
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5), reader, writer


async def test_wait_sends_its_head_at_once(served: Served) -> None:
    head, reader, _ = await head_of(served, b"POST /containers/box/wait?condition=next-exit")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: application/json\r\n" in head
    waiting = served.engine.containers.waiting
    assert waiting is not None
    assert served.engine.containers.calls == [("wait", ID, "next-exit")]
    waiting.future.set_result(SimpleNamespace(code=3, error=""))
    body = b'{"StatusCode":3}\n'
    assert await reader.readuntil(b"0\r\n\r\n") == b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert waiting.cancelled.is_set()


async def test_wait_tells_what_went_wrong(served: Served) -> None:
    asking = asyncio.get_running_loop().create_task(served.ask("POST", "/containers/box/wait"))
    await served.engine.containers.asked.wait()
    assert served.engine.containers.waiting is not None
    served.engine.containers.waiting.future.set_result(SimpleNamespace(code=0, error="no way"))
    assert await asking == (200, {"StatusCode": 0, "Error": {"Message": "no way"}})


async def test_wait_before_130_answers_at_the_end(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"POST /v1.29/containers/box/wait?condition=removed HTTP/1.1\r\nHost: d\r\n\r\n")
    await served.engine.containers.asked.wait()
    assert served.engine.containers.waiting is not None
    assert served.engine.containers.calls == [("wait", ID, "not-running")]
    served.engine.containers.waiting.future.set_result(SimpleNamespace(code=7, error=""))
    assert b"Content-Length: 17\r\n" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(17) == b'{"StatusCode":7}\n'


async def test_wait_refuses_an_unknown_condition(served: Served) -> None:
    answer = await served.ask("POST", "/containers/box/wait?condition=foo")
    assert answer == (400, {"message": 'invalid condition: "foo"'})


@pytest.mark.parametrize("half", [True, False])
async def test_a_client_that_waits_no_more_is_forgotten(served: Served, half: bool) -> None:
    _, _, writer = await head_of(served, b"POST /containers/box/wait")
    waiting = served.engine.containers.waiting
    assert waiting is not None
    if half:
        writer.write_eof()
    else:
        writer.transport.abort()
    await asyncio.wait_for(waiting.cancelled.wait(), 5)


async def test_logs_follow(served: Served) -> None:
    head, reader, writer = await head_of(served, b"GET /containers/box/logs?stdout=1&follow=1&tail=5&since=3")
    assert b"Content-Type: application/vnd.docker.multiplexed-stream\r\n" in head
    _, _, query = served.engine.containers.calls[0]
    assert (query.stdout, query.stderr, query.follow, query.tail) == (True, False, True, 5)
    assert (query.since_ns, query.until_ns, query.multiplexed) == (3_000_000_000, None, True)
    served.engine.containers.log.put_nowait(b"hi\n")
    assert await reader.readexactly(8) == b"3\r\nhi\n\r\n"
    writer.transport.abort()
    await asyncio.wait_for(served.engine.containers.log_closed.wait(), 5)


async def test_logs_before_142_are_raw(served: Served) -> None:
    served.engine.containers.log.put_nowait(None)
    async with served.session.get("http://d/v1.41/containers/box/logs?stderr=1&tail=all") as answer:
        assert answer.content_type == "application/vnd.docker.raw-stream"
        assert await answer.read() == b""


@pytest.mark.parametrize(
    ("version", "query", "accept", "content_type", "before"),
    [
        ("1.53", "&format=json", "application/jsonl", hijack.MULTIPLEXED, None),
        ("1.54", "", "*/*", hijack.MULTIPLEXED, None),
        ("1.54", "", "text/plain, application/jsonl;q=1", "application/jsonl", b""),
        ("1.54", "&format=json", "*/*", "application/x-ndjson", b""),
        ("1.55", "&format=json", "application/json-seq", "application/json-seq", b"\x1e"),
    ],
)
async def test_logs_as_json(
    served: Served, version: str, query: str, accept: str, content_type: str, before: bytes | None
) -> None:
    """Since 1.54, by Docker's router for containers' logs; it is no part of the contract yet."""
    served.engine.containers.log.put_nowait(None)
    url = f"http://d/v{version}/containers/box/logs?stdout=1{query}"
    async with served.session.get(url, headers={"Accept": accept}) as answer:
        assert answer.content_type == content_type
    ((_, _, asked),) = served.engine.containers.calls
    assert asked.as_json == before


async def test_logs_of_a_form_that_is_none(served: Served) -> None:
    answer = await served.ask("GET", "/v1.54/containers/box/logs?stdout=1&format=xml")
    assert answer == (400, {"message": "unsupported log format"})


async def test_logs_that_break_are_cut_off(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    served.engine.containers.log.put_nowait(b"a")
    served.engine.containers.log.put_nowait(OSError("disk"))
    _, reader, _ = await head_of(served, b"GET /containers/box/logs?stdout=1")
    assert not (await reader.read()).endswith(b"0\r\n\r\n")
    assert "disk" in caplog.text


async def test_logs_need_a_stream(served: Served) -> None:
    status, answer = await served.ask("GET", "/containers/box/logs")
    assert status == 400
    assert answer["message"] == "Bad parameters: you must choose at least one stream"


async def test_logs_fail_before_the_head(served: Served) -> None:
    served.engine.containers.failure = errdefs.Unsupported("no reading")
    assert await served.ask("GET", "/containers/box/logs?stdout=1") == (501, {"message": "no reading"})


async def test_events_send_their_head_at_once(served: Served) -> None:
    head, reader, writer = await head_of(served, b"GET /events")
    assert b"Content-Type: application/jsonl\r\n" in head
    served.engine.events.live.put_nowait(START)
    await reader.readline()
    event = json.loads(await reader.readline())
    assert event == {
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": ID, "Attributes": {"image": "bb:1"}},
        "scope": "local",
        "time": 1_700_000_000,
        "timeNano": 1_700_000_000_000_000_001,
    }
    writer.transport.abort()
    await asyncio.wait_for(served.engine.events.closed.wait(), 5)


@pytest.mark.parametrize(
    ("version", "accept", "kind", "start"),
    [
        ("1.55", "*/*", "application/jsonl", b"{"),
        ("1.51", "application/json", "application/json", b"{"),
        ("1.51", "application/x-ndjson", "application/x-ndjson", b"{"),
        ("1.55", "text/html, application/json-seq;q=1", "application/json-seq", b"\x1e{"),
    ],
)
async def test_events_by_version(served: Served, version: str, accept: str, kind: str, start: bytes) -> None:
    served.engine.events.stored = [IMAGE_CREATE, START]
    async with served.session.get(
        f"http://d/v{version}/events?since=1&until=2", headers={"Accept": accept}
    ) as answer:
        assert answer.headers["Content-Type"] == kind
        lines = (await answer.read()).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(start)
    legacy = json.loads(lines[1].lstrip(b"\x1e"))
    assert ("status" in legacy) is (version == "1.51")
    assert legacy.get("from") == ("bb:1" if version == "1.51" else None)
    assert served.engine.events.asked == [([], 1_000_000_000, 2_000_000_000)]


async def test_image_creates_are_hidden_before_146(served: Served) -> None:
    served.engine.events.stored = [IMAGE_CREATE]
    assert (await served.ask("GET", "/v1.45/events?until=2"))[1] is None


async def test_events_refuse_nonsense(served: Served) -> None:
    status, answer = await served.ask("GET", "/events?since=5&until=3")
    assert (status, answer["message"]) == (400, "`since` time (5) cannot be after `until` time (3)")
    assert (await served.ask("GET", "/events?filters={"))[0] == 400


async def test_the_server_ends_its_streams(served: Served) -> None:
    _, reader, _ = await head_of(served, b"GET /events")
    for stream in list(served.server.streams):
        stream.end()
    assert await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)


async def test_load_streams_its_progress(served: Served) -> None:
    served.engine.images.messages = [
        Message(status="Loading layer", id="abc", progress_detail=ProgressDetail(current=1, total=2)),
        Message(stream="Loaded image: bb:1\n"),
    ]
    async with served.session.post("http://d/images/load?quiet=0", data=b"tar" * 1000) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        lines = (await answer.read()).split(b"\r\n")
    assert json.loads(lines[0]) == {
        "status": "Loading layer",
        "id": "abc",
        "progressDetail": {"current": 1, "total": 2},
    }
    assert json.loads(lines[1]) == {"stream": "Loaded image: bb:1\n"}
    assert served.engine.images.uploaded == b"tar" * 1000
    assert served.engine.images.calls == [("load", False)]


async def test_load_tells_failures_in_the_stream(served: Served) -> None:
    served.engine.images.failure = errdefs.InvalidArgument("no archive")
    status, answer = await served.ask("POST", "/images/load", data=b"x")
    assert status == 200
    assert answer == {"errorDetail": {"message": "no archive"}, "error": "no archive"}


async def test_an_upload_that_breaks_off(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\nabc")
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 5)
    assert served.engine.images.uploaded in (b"", b"abc")


async def test_an_expected_continue_is_sent(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(
        b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_import(served: Served) -> None:
    status, answer = await served.ask(
        "POST", "/images/create?fromSrc=-&repo=bb&tag=2&changes=CMD+sh&changes=ENV+a=b", data=b"tar"
    )
    assert (status, answer) == (200, {"status": IMAGE_ID})
    assert served.engine.images.calls == [("import", "bb", "2", "Imported from -", ["CMD sh", "ENV a=b"], "")]


async def test_import_fails_by_status(served: Served) -> None:
    served.engine.images.failure = errdefs.InvalidArgument("bad reference")
    answer = await served.ask("POST", "/images/create?fromSrc=-", data=b"tar")
    assert answer == (400, {"message": "bad reference"})


async def test_pull(served: Served) -> None:
    pulls = served.engine.pulls
    pulls.messages.append(Message(id="1", status="Pulling from library/bb"))
    auth = base64.urlsafe_b64encode(b'{"username": "u", "password": "p"}').decode()
    for header, given in ((auth, Credentials("u", "p")), ("no base64", None)):
        answer = await served.ask(
            "POST",
            "/images/create?fromImage=bb&tag=1&platform=linux/arm64",
            headers={"X-Registry-Auth": header},
        )
        assert answer == (200, {"id": "1", "status": "Pulling from library/bb"})
        assert pulls.calls.pop() == ("bb", "1", "linux/arm64", given)
    await served.ask("POST", "/v1.31/images/create?fromImage=bb&tag=1&platform=linux/arm64")
    assert pulls.calls.pop() == ("bb", "1", "", None)


async def test_a_pull_fails_by_status_or_in_its_stream(served: Served) -> None:
    pulls = served.engine.pulls
    pulls.failure = errdefs.NotFound("manifest unknown")
    assert await served.ask("POST", "/images/create?fromImage=bb") == (404, {"message": "manifest unknown"})
    pulls.messages.append(Message(status="Pulling"))
    async with served.session.post("http://d/images/create?fromImage=bb") as answer:
        assert answer.status == 200
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert lines[1] == {"error": "manifest unknown", "errorDetail": {"message": "manifest unknown"}}


async def test_push(served: Served) -> None:
    pushes = served.engine.pushes
    pushes.messages.append(Message(status="The push refers to repository [docker.io/library/bb]"))
    auth = base64.urlsafe_b64encode(b'{"username": "u", "password": "p"}').decode()
    platform = quote('{"os": "linux", "architecture": "arm64"}')
    for version, asked in (("1.45", None), ("1.46", Platform(os="linux", architecture="arm64"))):
        status, _ = await served.ask(
            "POST",
            f"/v{version}/images/a/bb/push?tag=1&platform={platform}",
            headers={"X-Registry-Auth": auth},
        )
        assert status == 200
        assert pushes.calls.pop() == ("a/bb", "1", asked, Credentials("u", "p"))
    await served.ask("POST", "/images/bb/push")
    assert pushes.calls.pop() == ("bb", "", None, None)
    assert (await served.ask("POST", "/images/bb/push?platform=x"))[0] == 400


async def test_imports_of_urls(served: Served) -> None:
    answer = await served.session.post("http://d/images/create?fromSrc=u:p@x/y.tar")
    told = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [line["status"] for line in told] == ["Downloading from http://x/y.tar", "Importing", IMAGE_ID]
    assert told[1]["progressDetail"] == {"current": 3, "total": 3}
    assert served.engine.images.calls == [("import", "", "", "Imported from x/y.tar", [], "")]


@pytest.mark.parametrize(("source", "status"), [("http://nowhere/x", 500), ("ftp://x/y", 400), ("", 400)])
async def test_imports_of_urls_fail_by_status(served: Served, source: str, status: int) -> None:
    answered, answer = await served.ask("POST", f"/images/create?fromSrc={source}")
    assert answered == status
    assert answer["message"].startswith('Get "')


async def test_searches(served: Served) -> None:
    status, found = await served.ask("GET", '/images/search?term=x&limit=7&filters={"stars":["1"]}')
    assert status == 200
    shown = {"name": "x", "description": "d", "star_count": 7, "is_official": True, "is_automated": False}
    assert found == [shown]
    for query in ("limit=x", 'filters={"nope":["x"]}', "filters={"):
        assert (await served.ask("GET", f"/images/search?term=x&{query}"))[0] == 400


async def test_images_by_version(served: Served) -> None:
    _, (old,) = await served.ask("GET", "/v1.43/images/json?shared-size=1")
    _, (new,) = await served.ask("GET", "/v1.51/images/json")
    assert old["VirtualSize"] == old["Size"] == 2024544
    assert (old["Containers"], new["Containers"]) == (-1, 2)
    assert (old["SharedSize"], new["SharedSize"]) == (0, -1)
    assert "VirtualSize" not in new
    assert new["RepoDigests"] == []


async def test_untagged_images_before_143(served: Served) -> None:
    served.engine.images.records = [image(references=[])]
    _, (old,) = await served.ask("GET", "/v1.42/images/json")
    assert (old["RepoTags"], old["RepoDigests"]) == (["<none>:<none>"], ["<none>@<none>"])
    _, (new,) = await served.ask("GET", "/v1.43/images/json")
    assert (new["RepoTags"], new["RepoDigests"]) == ([], [])


async def test_image_inspect_by_version(served: Served) -> None:
    _, new = await served.ask("GET", "/images/bb:1/json")
    assert new["Config"] == {"Env": ["PATH=/bin"], "Cmd": ["sh"]}
    assert "GraphDriver" not in new
    assert "Parent" not in new
    assert "Author" not in new
    _, middle = await served.ask("GET", "/v1.51/images/bb:1/json")
    assert middle["Config"]["User"] == ""
    assert "Hostname" not in middle["Config"]
    assert middle["Parent"] == ""
    assert middle["GraphDriver"] == {"Name": "overlayfs", "Data": None}
    _, old = await served.ask("GET", "/v1.40/images/bb:1/json")
    assert old["Config"]["Hostname"] == ""
    assert old["ContainerConfig"]["Tty"] is False
    assert old["VirtualSize"] == 2024544


async def test_tag_and_remove(served: Served) -> None:
    assert await served.ask("POST", "/images/bb:1/tag?repo=x&tag=y") == (201, "")
    answer = await served.ask("DELETE", "/images/bb:1?force=1&noprune=1")
    assert answer == (200, [{"Untagged": "bb:1"}, {"Deleted": IMAGE_ID}])
    assert served.engine.images.calls == [("tag", IMAGE_ID, "x", "y"), ("remove", IMAGE_ID, True, False)]
    assert (await served.ask("POST", "/images/bb:1/tag"))[0] == 400
    assert (await served.ask("DELETE", "/images/"))[1] == {"message": "image name cannot be blank"}


async def test_networks(served: Served) -> None:
    _, networks = await served.ask("GET", "/networks")
    assert [network["Name"] for network in networks] == ["bridge", "host", "none"]
    assert not any("Containers" in network for network in networks)
    _, bridge = await served.ask("GET", "/networks/bridge")
    assert bridge["Containers"][ID]["IPv4Address"] == "172.17.0.2/16"
    assert bridge["IPAM"]["Config"] == [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
    assert bridge["Status"]["IPAM"]["Subnets"]["172.17.0.0/16"]["IPsInUse"] == 4
    assert "Status" not in (await served.ask("GET", "/v1.51/networks/bridge"))[1]
    assert await served.ask("GET", "/networks/foo") == (404, {"message": "network foo not found"})
    assert (await served.ask("GET", "/networks/ne"))[1]["Name"] == "bridge"
    _, found = await served.ask("GET", '/networks?filters={"driver":["null"]}')
    assert [network["Name"] for network in found] == ["none"]
    assert (await served.ask("GET", '/networks?filters={"type":["x"]}'))[0] == 400


async def test_info_by_version(served: Served) -> None:
    _, new = await served.ask("GET", "/info")
    _, old = await served.ask("GET", "/v1.43/info")
    assert "FirewallBackend" in new
    assert "FirewallBackend" not in old
    assert old["Runtimes"] == {"runc": {"path": "runc"}}
    assert old["RuncCommit"] == {"ID": "abc", "Expected": "abc"}
    assert old["BridgeNfIptables"] is False
    assert "BridgeNfIptables" not in new
    assert old["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] == []


async def test_exec_inspect(served: Served) -> None:
    _, created = await served.ask("POST", "/containers/box/exec", json={"Cmd": ["ls", "-l"], "User": "a"})
    _, shown = await served.ask("GET", f"/exec/{created['Id']}/json")
    assert shown["ProcessConfig"] == {
        "tty": False,
        "entrypoint": "ls",
        "arguments": ["-l"],
        "privileged": False,
        "user": "a",
    }
    assert shown["ExitCode"] is None
    assert (await served.ask("POST", "/containers/box/exec", json={"Cmd": []}))[1] == {
        "message": "No exec command specified"
    }
    assert (await served.ask("GET", "/exec/foo/json"))[0] == 404
    assert (await served.ask("POST", "/exec/foo/start", json={}))[0] == 404
