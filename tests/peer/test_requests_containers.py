"""Every endpoint of containers and execs, asked well, badly and oddly in every version: as dockerd answers."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.comparison import differences, remove_all, require
from tests.peer.ledger import VERSIONS
from tests.peer.lines import Line, blocks, found, name
from tests.peer.peer import Both, Ids
from tests.peer.steps import lead, stepwise
from tests.unix_http import call

pytestmark = pytest.mark.root

CONTAINERS: dict[str, dict[str, Any]] = {
    "run": {"Cmd": ["sleep", "1000"], "Labels": {"a": "b"}, "ExposedPorts": {"90/tcp": {}}},
    "cr": {"Cmd": ["sleep", "1000"]},
    "ex": {"Cmd": stepwise("echo out", "echo err >&2; echo x > /new; exit 3")},
    "pa": {"Cmd": ["sleep", "1000"]},
    "tty": {"Cmd": ["sh"], "Tty": True, "OpenStdin": True},
}
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Origin": "http://docker",
}
# What leaves all of them as they are.
ASKED = """
GET /containers/json
GET /containers/json?all=1
GET /containers/json?all=1&limit=2
GET /containers/json?all=1&size=1
GET /containers/json?all=nope
GET /containers/json?limit=-1
GET /containers/json?limit=x
GET /containers/json?before=ex&all=1
GET /containers/json?all=1&filters={"status":["created","exited"],"label":["a"]}
GET /containers/json?all=1&filters={"exited":["3"]}
GET /containers/json?all=1&filters={"exited":["x"]}
GET /containers/json?filters={"status":["nope"]}
GET /containers/json?filters={"nope":["x"]}
GET /containers/json?filters={
GET /containers/json?filters=[]

GET /containers/run/json
GET /containers/run/json?size=1
GET /containers/ex/json?size=x
GET /containers/cr/json
GET /containers/tty/json
GET /containers/nope/json
GET /containers/%20/json
GET /containers/run/more/json
GET /containers//json

GET /containers/run/top
GET /containers/run/top?ps_args=-o+pid,comm
GET /containers/pa/top?ps_args=aux
GET /containers/cr/top
GET /containers/ex/top
GET /containers/nope/top
GET /containers/run/top?ps_args=-o+nope

GET /containers/ex/logs?stdout=1
GET /containers/ex/logs?stdout=1&stderr=1&timestamps=1
GET /containers/ex/logs?stdout=1&tail=0
GET /containers/ex/logs?stdout=1&since=bad
GET /containers/ex/logs
GET /containers/cr/logs?stdout=1
GET /containers/nope/logs?stdout=1
GET /containers/ex/logs?stdout=1&follow=1

GET /containers/ex/changes
GET /containers/run/changes
GET /containers/cr/changes?kind=1
GET /containers/nope/changes
GET /containers/%20/changes

GET /containers/nope/export
GET /containers/%20/export
GET /containers/nope/export?x=1
GET /containers//export

GET /containers/cr/stats?stream=0
GET /containers/ex/stats?stream=false
GET /containers/cr/stats?stream=0&one-shot=1
GET /containers/ex/stats?stream=no&x=y
GET /containers/nope/stats?stream=0
GET /containers/nope/stats?stream=0&one-shot=1
GET /containers/nope/stats?stream=1&one-shot=1
GET /containers/nope/stats

POST /containers/cr/resize?h=1&w=1
POST /containers/tty/resize?h=10&w=20
POST /containers/tty/resize?h=x&w=20
POST /containers/tty/resize
POST /containers/nope/resize?h=1&w=1
POST /containers/ex/resize?h=1&w=1

POST /containers/run/start
POST /containers/pa/start
POST /containers/nope/start
POST /containers/run/start {"x":1234567}
POST /containers/run/start?checkpoint=x
POST /containers/run/start {}

POST /containers/cr/stop
POST /containers/ex/stop?t=1
POST /containers/nope/stop
POST /containers/run/stop?t=x
POST /containers/ex/stop?signal=SIGINT

POST /containers/nope/restart
POST /containers/nope/restart?t=1
POST /containers/run/restart?t=x
POST /containers/%20/restart

POST /containers/run/kill?signal=CONT
POST /containers/run/kill?signal=18
POST /containers/cr/kill
POST /containers/ex/kill?signal=TERM
POST /containers/nope/kill
POST /containers/run/kill?signal=NOPE
POST /containers/run/kill?signal=-1

POST /containers/pa/pause
POST /containers/cr/pause
POST /containers/ex/pause
POST /containers/nope/pause

POST /containers/cr/unpause
POST /containers/run/unpause
POST /containers/nope/unpause
POST /containers/ex/unpause

POST /containers/cr/wait?condition=not-running
POST /containers/ex/wait
POST /containers/ex/wait?condition=
POST /containers/nope/wait
POST /containers/cr/wait?condition=bad
POST /containers/nope/wait?condition=removed

POST /containers/cr/update {}
POST /containers/cr/update {"CpuShares":512}
POST /containers/cr/update {"Memory":1}
POST /containers/cr/update {"RestartPolicy":{"Name":"nope"}}
POST /containers/nope/update {}
POST /containers/cr/update {
POST /containers/cr/update {"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}

POST /containers/run/rename?name=run
POST /containers/run/rename
POST /containers/run/rename?name=cr
POST /containers/run/rename?name=b@d
POST /containers/nope/rename?name=other
POST /containers/cr/rename?name=cr2
POST /containers/cr2/rename?name=/cr

DELETE /containers/nope
DELETE /containers/run
DELETE /containers/pa?v=1
DELETE /containers/nope?force=1
DELETE /containers/%20
DELETE /containers/cr?link=1

POST /containers/ex/attach?logs=1&stdout=1
POST /containers/ex/attach?logs=1&stdout=1&stderr=1
POST /containers/ex/attach
POST /containers/tty/attach
POST /containers/nope/attach?stream=1
POST /containers/pa/attach?stream=1&stdout=1
POST /containers/cr/attach?detachKeys=bad

POST /containers/run/exec {"Cmd":["true"]}
POST /containers/run/exec {"Cmd":["true"],"Tty":true,"Env":["A=b"],"User":"0"}
POST /containers/run/exec {"Cmd":[]}
POST /containers/run/exec {"Cmd":5}
POST /containers/pa/exec {"Cmd":["true"]}
POST /containers/nope/exec {"Cmd":["true"]}
POST /containers/cr/exec {"Cmd":["true"]}
POST /containers/run/exec {

POST /containers/create {"Image":"nope"}
POST /containers/create?name=run {"Image":"busybox","Cmd":["true"]}
POST /containers/create?name=b@d {"Image":"busybox","Cmd":["true"]}
POST /containers/create?name=made {"Image":"busybox","Cmd":["true"]}
POST /containers/create {"Image":"busybox","HostConfig":{"NetworkMode":"nope"}}
POST /containers/create {"Image":"busybox","HostConfig":{"Memory":1}}
POST /containers/create {
GET /containers/made/json
DELETE /containers/made

POST /containers/create?name=alone {"Cmd":["/x"]}
GET /containers/alone/json?size=1
GET /containers/json?all=1&size=1&filters={"name":["alone"]}
GET /containers/alone/changes
POST /commit?container=alone&repo=peer-alone
GET /images/peer-alone/history
DELETE /images/peer-alone
POST /containers/alone/start
DELETE /containers/alone

POST /containers/prune?filters={"label":["nobody-has-it"]}
POST /containers/prune?filters={"label!":["a","b"],"label":["nobody-has-it"]}
POST /containers/prune?filters={"until":["1h"]}
POST /containers/prune?filters={"until":["bad"]}
POST /containers/prune?filters={"nope":["x"]}
POST /containers/prune?filters={

POST /commit?container=nope
POST /commit
POST /commit?container=cr&repo=UPPER
POST /commit?container=cr&changes=RUN%20x
POST /commit?container=ex&repo=peer-committed&pause=0
DELETE /images/peer-committed
POST /commit?container=ex&repo=peer-committed&author=me&comment=hi {"Cmd":["x"]}
DELETE /images/peer-committed
"""
# Each verb where it may be, and again where it may not.
LIFE = """
POST /containers/create?name=life {"Image":"busybox","Cmd":["sleep","1000"]}
POST /containers/life/start
POST /containers/life/start
POST /containers/life/pause
POST /containers/life/pause
POST /containers/life/unpause
POST /containers/life/unpause
POST /containers/life/update {"CpuShares":300}
POST /containers/life/rename?name=life2
POST /containers/life2/rename?name=life
POST /containers/life/restart?t=0
POST /containers/life/kill?signal=CONT
POST /containers/life/stop?t=0
POST /containers/life/stop?t=0
GET /containers/life/json
POST /containers/life/restart?t=0
POST /containers/life/kill
POST /containers/life/wait
POST /containers/life/kill
POST /containers/life/start
POST /containers/life/pause
POST /containers/life/restart?t=0
POST /containers/life/pause
POST /containers/life/stop?t=0
POST /containers/life/wait?condition=not-running
DELETE /containers/life
DELETE /containers/life
POST /containers/create?name=life {"Image":"busybox","Cmd":["sleep","9"],"HostConfig":{"AutoRemove":true}}
POST /containers/life/start
DELETE /containers/life?force=1&v=1
POST /containers/create?name=life {"Image":"busybox","Cmd":["nosuchcommand"]}
POST /containers/life/start
GET /containers/life/json
DELETE /containers/life?v=1
"""
EXEC = """
GET /exec/EXEC/json
GET /exec/NEW/json
GET /exec/nope/json
GET /exec/%20/json
GET /exec/EXEC/json?x=1
GET /exec//json

POST /exec/EXEC/resize?h=1&w=1
POST /exec/EXEC/resize?h=x&w=1
POST /exec/EXEC/resize
POST /exec/nope/resize?h=1&w=1
POST /exec/EXEC/resize?w=1

POST /exec/NEW/start {
POST /exec/nope/start {}
POST /exec/NEW/start {"Detach":5}
POST /exec/NEW/start {"Detach":true,"Tty":true}
POST /exec/NEW/start {"Detach":true}
POST /exec/EXEC/start {}
GET /exec/EXEC/json
"""


@pytest.fixture(scope="module", autouse=True)
def _containers(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    """Running, created, exited, paused, with a terminal; nobody is called nope."""
    both = Both(peer_wherryd, peer)
    remove_all(both)
    for container, config in CONTAINERS.items():
        both("POST", f"/containers/create?name={container}", {"Image": "busybox", **config})
        if container != "cr":
            both("POST", f"/containers/{container}/start")
    for side in (both.wherryd, both.peer):
        lead(side.socket, "ex", "out")
    both("POST", "/containers/ex/wait")
    both("POST", "/containers/pa/pause")
    yield
    remove_all(both)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("block", blocks(ASKED), ids=name)
def test_asked(both: Both, block: list[Line], version: str) -> None:
    require(list(found(both, block, version)))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_life(both: Both, version: str) -> None:
    require(list(found(both, blocks(LIFE)[0], version)))


@pytest.fixture
def exec_ids(both: Both) -> Ids:
    """Execs in the running container: NEW has not begun, EXEC runs (a resize waits 10 seconds for what does not)."""
    made = []
    for side in (both.wherryd, both.peer):
        for _ in range(2):
            body = {"Cmd": ["sleep", "1000"], "Tty": True}
            made.append(call(side.socket, "POST", "/v1.45/containers/run/exec", body).json["Id"])
        call(side.socket, "POST", f"/v1.45/exec/{made[-1]}/start", {"Detach": True, "Tty": True})
    return {"NEW": (made[0], made[2]), "EXEC": (made[1], made[3])}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("block", blocks(EXEC), ids=name)
def test_exec(both: Both, exec_ids: Ids, block: list[Line], version: str) -> None:
    require(list(found(both, block, version, exec_ids)))


@pytest.mark.parametrize("version", VERSIONS)
def test_attach_by_websocket(both: Both, version: str) -> None:
    told = []
    for path in (
        *("ex/attach/ws?logs=1&stdout=1", "ex/attach/ws", "tty/attach/ws?stream=1&stdout=1"),
        *("nope/attach/ws?logs=1", "ex/attach/ws?detachKeys=bad&logs=1", "pa/attach/ws?stream=1"),
    ):
        told += differences(both, "GET", f"/containers/{path}", version=version, headers=WEBSOCKET)
    for path in ("ex/attach/ws?logs=1", "nope/attach/ws", "nope/attach/ws?detachKeys=bad"):
        told += differences(both, "GET", f"/containers/{path}", version=version)
    require(told)
