"""Authorization plugins as users have them: what they are told, how they refuse, and that nothing passes them by."""

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.authz.conftest import Judges, ask

pytestmark = pytest.mark.root

PRIVILEGED = b'{"Image": "busybox", "HostConfig": {"Privileged": true}}'
JSON = {"Content-Type": "application/json"}
LIMIT = 4 << 20


def body_of(told: dict[str, Any], side: str = "Request") -> Any:
    return json.loads(base64.b64decode(told[f"{side}Body"]))


def test_what_is_told_of_a_request_and_of_its_answer(guarded: Wherryd, judges: Judges) -> None:
    headers = {**JSON, "x-registry-auth": "secret", "Authorization": "secret", "x-mine": "1"}
    made = guarded.call("POST", "/v1.45/containers/create?name=a%20b", b'{"Image": "none"}', headers=headers)
    assert made.status == 404
    told, answered = [call["body"] for call in judges.calls() if call["plugin"] == judges.first]
    assert told["RequestMethod"] == "POST"
    assert told["RequestUri"] == "/v1.45/containers/create?name=a%20b"
    assert body_of(told) == {"Image": "none"}
    assert told["RequestHeaders"].items() >= {"Content-Type": "application/json", "X-Mine": "1"}.items()
    assert not {"Authorization", "X-Registry-Auth", "Host"} & told["RequestHeaders"].keys()
    assert {key: answered[key] for key in told} == told
    assert answered["ResponseStatusCode"] == 404
    assert answered["ResponseHeaders"]["Api-Version"] == "1.55"
    assert body_of(answered, "Response") == made.json
    assert guarded.docker("info", "-f", "{{json .Plugins.Authorization}}").stdout.strip() == json.dumps(
        list(judges.names), separators=(",", ":")
    )


def test_a_refused_request_is_not_handled(guarded: Wherryd, judges: Judges) -> None:
    judges.deny(judges.first, "AuthZReq", "not today", when="/containers/create")
    told = guarded.docker("create", "--name", "kept-out", "busybox", check=False)
    assert f"authorization denied by plugin {judges.first}: not today" in told.stderr
    refused = guarded.call("POST", "/v1.45/containers/create", PRIVILEGED, headers=JSON)
    assert (refused.status, refused.json) == (
        403,
        {"message": f"authorization denied by plugin {judges.first}: not today"},
    )
    assert "AuthZPlugin.AuthZRes" not in [
        call["method"] for call in judges.calls() if "/containers/create" in call["body"]["RequestUri"]
    ]
    judges.fails()
    assert guarded.docker("ps", "-aq").stdout == ""


def test_all_of_a_chain_must_allow_in_their_order(guarded: Wherryd, judges: Judges) -> None:
    guarded.get("/v1.45/version")
    assert [(call["plugin"], call["method"][12:]) for call in judges.calls()] == [
        *((judges.first, "AuthZReq"), (judges.second, "AuthZReq")),
        *((judges.first, "AuthZRes"), (judges.second, "AuthZRes")),
    ]
    judges.deny(judges.second, "AuthZReq", "no")
    assert guarded.get("/v1.45/version").status == 403
    assert [call["plugin"] for call in judges.calls()] == [judges.first, judges.second]
    judges.deny(judges.first, "AuthZReq", "no")
    assert guarded.get("/v1.45/version").status == 403
    assert [call["plugin"] for call in judges.calls()] == [judges.first]


def test_an_answer_that_is_refused_is_not_given(guarded: Wherryd, judges: Judges) -> None:
    judges.deny(judges.second, "AuthZRes", "a secret", when="KernelVersion")
    hidden = guarded.get("/v1.45/info")
    assert (hidden.status, hidden.json["message"]) == (
        403,
        f"authorization denied by plugin {judges.second}: a secret",
    )
    assert guarded.get("/v1.45/networks").status == 200


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"status": 500, "body": '{"Err": "I am ill"}'}, "AuthZPlugin.AuthZReq: I am ill"),
        ({"body": '{"Allow": true, "Err": "I am ill"}'}, "I am ill"),
        ({"body": "no JSON"}, "the plugin's answer is not a JSON object"),
    ],
    ids=["status", "field", "nonsense"],
)
def test_a_plugin_that_fails(guarded: Wherryd, judges: Judges, fault: dict[str, Any], text: str) -> None:
    judges.say(judges.first, "AuthZReq", **fault)
    failed = guarded.get("/v1.45/version")
    assert failed.status == 500
    assert failed.json["message"].startswith(f"plugin {judges.first} failed with error: ")
    assert text in failed.json["message"]


@pytest.mark.parametrize("said", ["{}", "null", '{"Allow": "true"}', '{"Allow": 1}', '{"Msg": "x"}'])
def test_only_yes_is_yes(guarded: Wherryd, judges: Judges, said: str) -> None:
    judges.say(judges.first, "AuthZReq", body=said)
    assert guarded.get("/v1.45/version").status == 403


def test_keys_are_read_as_go_does(guarded: Wherryd, judges: Judges) -> None:
    judges.say(judges.first, "AuthZReq", body='{"allow": true}')
    assert guarded.get("/v1.45/version").status == 200


def test_one_that_hangs_holds_up_nobody_but_who_waits_for_it(guarded: Wherryd, judges: Judges) -> None:
    judges.say(judges.first, "AuthZReq", seconds=2, when="/version")
    with pytest.raises(TimeoutError):
        guarded.get("/v1.45/version", timeout=0.5)
    assert guarded.get("/v1.45/networks").status == 200


def test_the_chain_changes_with_the_configuration(guarded: Wherryd, judges: Judges) -> None:
    judges.deny(judges.first, "AuthZReq", "no")
    assert guarded.get("/v1.45/version").status == 403
    ask(guarded, judges.second)
    assert guarded.get("/v1.45/version").status == 200
    assert {call["plugin"] for call in judges.calls()[1:]} == {judges.second}
    ask(guarded)
    assert guarded.get("/v1.45/version").status == 200
    assert judges.calls() == []
    assert guarded.get("/v1.45/info").json["Plugins"]["Authorization"] is None
    ask(guarded, *judges.names)
    assert guarded.get("/v1.45/version").status == 403


def test_one_that_nobody_has_refuses_all(guarded: Wherryd, judges: Judges) -> None:
    """It is looked for as long as Docker does, fifteen seconds, and once a minute after that."""
    ask(guarded, "nobody/has-it")
    for _ in range(2):
        refused = guarded.get("/v1.45/version", timeout=40)
        assert refused.status == 500
        assert refused.json["message"].startswith("plugin nobody/has-it failed with error: ")
    ask(guarded, *judges.names)


def raw(daemon: Wherryd, head: str, body: bytes = b"") -> bytes:
    """Everything that is answered to a request that no client would send."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(daemon.socket))
        client.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


CREATE = "POST /v1.45/containers/create HTTP/1.1\nHost: d\nContent-Type: application/json\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PRIVILEGED), PRIVILEGED)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (CREATE + f"Content-Length: {len(PRIVILEGED)}\n", PRIVILEGED),
        (CREATE + "Transfer-Encoding: chunked\n", CHUNKED),
        (CREATE + "Content-Length: 0\n", PRIVILEGED),
        (CREATE + "Content-Length: 0\nTransfer-Encoding: chunked\n", CHUNKED),
        (CREATE + f"Content-Length: 0\nContent-Length: {len(PRIVILEGED)}\n", PRIVILEGED),
        (CREATE + f"Expect: 100-continue\nContent-Length: {len(PRIVILEGED)}\n", PRIVILEGED),
        (
            CREATE.replace("json\n", "json; charset=utf-8\n") + f"Content-Length: {len(PRIVILEGED)}\n",
            PRIVILEGED,
        ),
        (
            CREATE.replace("application/json", "APPLICATION/JSON") + f"Content-Length: {len(PRIVILEGED)}\n",
            PRIVILEGED,
        ),
        (CREATE + f"Content-Type: text/plain\nContent-Length: {len(PRIVILEGED)}\n", PRIVILEGED),
        (
            CREATE.replace("Content", "Content-Type: text/plain\nContent", 1)
            + f"Content-Length: {len(PRIVILEGED)}\n",
            PRIVILEGED,
        ),
        (
            CREATE.replace("containers", "%63ontainers") + f"Content-Length: {len(PRIVILEGED)}\n",
            PRIVILEGED,
        ),
        (
            CREATE.replace("/v1.45", "http://elsewhere/v1.45") + f"Content-Length: {len(PRIVILEGED)}\n",
            PRIVILEGED,
        ),
        (
            CREATE + f"Content-Length: {len(PRIVILEGED) + LIMIT}\n",
            PRIVILEGED[:-1] + b" " * LIMIT + b"}",
        ),
    ],
    ids=[
        *(
            "length",
            "chunked",
            "no-length",
            "no-length-chunked",
            "two-lengths",
            "continue",
            "charset",
            "case",
        ),
        *("type-then-text", "text-then-type", "encoded", "absolute", "large"),
    ],
)
def test_no_privileged_container_passes_a_plugin_that_forbids_them(
    guarded: Wherryd, judges: Judges, head: str, body: bytes
) -> None:
    judges.deny(judges.first, "AuthZReq", "privileged", when="Privileged")
    answered = raw(guarded, head, body)
    for told in judges.asked():
        assert told["RequestUri"].startswith("/v1.45/containers/create")
    judges.fails()
    assert guarded.docker("ps", "-aq").stdout == "", answered
    assert not answered.startswith(b"HTTP/1.1 201")


def test_what_is_too_long_to_be_shown_is_refused_and_what_is_not_is_handled(
    guarded: Wherryd, judges: Judges
) -> None:
    start, end = b'{"Image": "none", "Labels": {"a": "', b'"}}'
    whole = start + b"x" * (LIMIT - len(start) - len(end)) + end
    assert (
        "No such image"
        in guarded.call("POST", "/v1.45/containers/create", whole, headers=JSON).json["message"]
    )
    (told,) = judges.asked()
    assert base64.b64decode(told["RequestBody"]) == whole
    refused = guarded.call("POST", "/v1.45/containers/create", whole + b" ", headers=JSON)
    assert refused.status == 400
    assert refused.json["message"] == (
        f"request body too large for authorization plugin: size exceeds {LIMIT} bytes"
    )
    assert judges.asked() == []


def test_logins_and_archives_are_not_shown(guarded: Wherryd, judges: Judges) -> None:
    guarded.call(
        "POST",
        "/v1.45/auth",
        b'{"username": "u", "password": "p", "serveraddress": "127.0.0.1:1"}',
        headers=JSON,
    )
    told, answered = [call["body"] for call in judges.calls() if call["plugin"] == judges.first]
    assert "RequestBody" not in told
    assert "ResponseBody" not in answered
    guarded.docker("save", "-o", str(guarded.root / "saved.tar"), "busybox")
    guarded.docker("load", "-i", str(guarded.root / "saved.tar"))
    told = {call["body"]["RequestUri"].rpartition("/")[2]: call["body"] for call in judges.calls()}
    assert "RequestBody" not in told["load?quiet=1"]
    assert "ResponseBody" not in told["get?names=busybox"]


def test_streams_go_on_as_without_plugins(guarded: Wherryd, judges: Judges) -> None:
    echoed = guarded.docker("run", "--rm", "-i", "busybox", "cat", stdin=b"through\n" * 30000)
    assert echoed.stdout == "through\n" * 30000
    guarded.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo said; sleep 1000")
    try:
        assert guarded.docker("exec", "-i", "box", "cat", stdin=b"in and out").stdout == "in and out"
        assert guarded.docker("logs", "box").stdout == "said\n"
        judges.calls()
        judges.deny(judges.first, "AuthZReq", "no exec", when="/exec")
        assert "no exec" in guarded.docker("exec", "box", "true", check=False).stderr
        judges.deny(judges.first, "AuthZReq", "no attach", when="/attach")
        assert "received 403" in guarded.docker("attach", "box", check=False).stderr
    finally:
        judges.fails()
        guarded.docker("rm", "-f", "box")


def test_many_at_once(guarded: Wherryd, judges: Judges) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: guarded.get("/v1.45/version").status, range(100)))
    assert answers == [200] * 100
    assert len(judges.asked()) == 100
