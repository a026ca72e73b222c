"""One request to both daemons, compared whole but for the differences that are accepted."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from tests.peer.between import between, of_values
from tests.peer.busy import asked
from tests.peer.ledger import LEDGER, VERSIONS, Request
from tests.peer.peer import Answer, Both, Ids, targets
from tests.peer.raw import Exchange
from tests.peer.steps import lead
from tests.unix_http import call

OLD = VERSIONS[:-1]
"""The versions beside 1.45 in which requests are asked, too."""
JSON = {"Content-Type": "application/json"}
CLIENTS_FAULT = "a client's fault is a 400"
SLOW = 15.0
"""Seconds that one of the daemons may be behind the other."""
T = TypeVar("T")


def differences(
    both: Both,
    method: str,
    path: str,
    body: bytes | Mapping[str, Any] | None = None,
    *,
    version: str = "1.45",
    headers: Mapping[str, str] | None = None,
    ids: Ids | None = None,
) -> list[str]:
    """Ask both, count the request, and return the differences that are not accepted, under what was asked."""
    request = Request.of(method, path, body, version, headers)
    ours, theirs = both(method, path, body, version, headers, ids)
    return judged(request, ours, theirs)


def judged(request: Request, ours: Answer, theirs: Answer) -> list[str]:
    """Count a request that was asked already; the differences of its answers as of `differences`."""
    LEDGER.count(request, theirs.status)
    found = between(request, _ordered(ours), _ordered(theirs))
    return [f"v{request.version} {request.text}", *(f"    {line}" for line in found)] if found else []


def require(found: list[str]) -> None:
    """Fail with the differences if there are any."""
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def same(both: Both, method: str, path: str, body: Any = None, **how: Any) -> None:
    """Ask both and fail on a difference that nobody meant; options as of `differences`."""
    require(differences(both, method, path, body, **how))


def same_head(both: Both, path: str, version: str = "1.45") -> list[bytes]:
    """GET what answers with an archive: fail on a difference of status or headers; the bodies, to be compared."""
    ours, theirs = both.raw("GET", path, version=version)
    request = Request.of("GET", path, None, version, None)
    require(judged(request, *(Answer.of(replace(each, body=b"")) for each in (ours, theirs))))
    return [ours.body, theirs.body]


def same_values(request: Request, ours: Any, theirs: Any) -> None:
    """Fail on a difference of two values that stand for the bodies of a request."""
    require(of_values(request, ours, theirs))


def same_stream(
    both: Both,
    path: str,
    body: Any = None,
    *,
    version: str = "1.45",
    ids: Ids | None = None,
    patience: float = 0.6,
    **how: Any,
) -> None:
    """POST to both on raw connections (`raw.Exchange`), and fail on a difference of heads or of what follows.

    A stream is open when nothing came for `patience` seconds; longer when the other daemon told more, or ended it.
    """
    request = Request.of("POST", path, body, version, None)
    mine, its = targets(f"/v{version}{path}", ids)
    with (
        Exchange(both.wherryd.socket, mine, body, **how) as ours,
        Exchange(both.peer.socket, its, body, **how) as theirs,
    ):
        answers = ours.read(patience), theirs.read(patience)
        deadline = time.monotonic() + SLOW
        while (
            between(request, *answers) and not (ours.ended and theirs.ended) and time.monotonic() < deadline
        ):
            answers = ours.read(patience), theirs.read(patience)
    require(judged(request, *answers))


def alike(tell: Callable[[], tuple[T, T]]) -> tuple[T, T]:
    """What both tell as soon as that is the same: one may be slower than the other; if it never is, the last of it."""
    deadline = time.monotonic() + SLOW
    while True:
        ours, theirs = tell()
        if ours == theirs or time.monotonic() > deadline:
            return ours, theirs
        time.sleep(0.1)


UNORDERED = frozenset({"Mounts", "NetworksDeleted", "Ports", "Volumes", "VolumesDeleted"})
"""Lists that dockerd makes from maps: their order is chance. So is that of networks."""


def _ordered(answer: Answer) -> Answer:
    body = _in_order(answer.body)
    if isinstance(body, list) and all(isinstance(each, dict) and "Name" in each for each in body):
        body.sort(key=lambda each: str(each["Name"]))
    return Answer(answer.status, answer.headers, body)


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: sorted(inner, key=repr) if key in UNORDERED and isinstance(inner, list) else _in_order(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_in_order(inner) for inner in value]
    return _reasons_in_order(value) if isinstance(value, str) else value


def _reasons_in_order(text: str) -> str:
    """What is wrong with each of several networks, which dockerd has in a map, too."""
    return "\n* ".join(["", *sorted(f"\n{text}".split("\n* ")[1:])])[1:] if text.startswith("* ") else text


def make_all(
    both: Both,
    containers: Mapping[str, Mapping[str, Any]],
    ended: Iterable[str] = ("ex",),
    said: Iterable[str] = (),
) -> None:
    """Make containers of busybox by their configurations on both sides: "cr" is created alone, the others are started,
    "ex" is led through what it has `said`, some have ended then, and "pa" is paused.
    """
    for daemon in (both.wherryd, both.peer):
        for name, config in containers.items():
            body = {"Image": "busybox", **config}
            call(daemon.socket, "POST", f"/v1.45/containers/create?name={name}", body)
            if name != "cr":
                asked(daemon.socket, "POST", f"/v1.45/containers/{name}/start")
        lead(daemon.socket, "ex", *said)
        for name in ended:
            call(daemon.socket, "POST", f"/v1.45/containers/{name}/wait")
        if "pa" in containers:
            asked(daemon.socket, "POST", "/v1.45/containers/pa/pause")


def remove_all(both: Both) -> None:
    """Remove every container of both daemons."""
    for daemon in (both.wherryd, both.peer):
        listed = call(daemon.socket, "GET", "/v1.45/containers/json?all=1").json
        for container in listed:
            call(daemon.socket, "DELETE", f"/v1.45/containers/{container['Id']}?force=1&v=1")
