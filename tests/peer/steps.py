"""Containers that speak on both streams in one order: that of two pipes that are read late is chance."""

from functools import partial
from pathlib import Path

from tests.unix_http import call
from tests.waiting import eventually


def stepwise(*commands: str) -> list[str]:
    """The command of a container that does these one after the other, each but the first when `lead` lets it."""
    first, *others = commands
    waits = (f"until [ -e /dev/shm/{n} ]; do sleep .02; done; {each}" for n, each in enumerate(others))
    return ["sh", "-c", "; ".join([first, *waits])]


def lead(where: Path, name: str, *said: str) -> None:
    """Let a container go on after each of these, once it is in its log."""
    for number, text in enumerate(said):
        eventually(partial(_logged, where, name, text.encode()))
        body = {"Cmd": ["touch", f"/dev/shm/{number}"]}
        made = call(where, "POST", f"/v1.45/containers/{name}/exec", body).json["Id"]
        call(where, "POST", f"/v1.45/exec/{made}/start", {"Detach": True})


def _logged(where: Path, name: str, text: bytes) -> bool:
    return text in call(where, "GET", f"/v1.45/containers/{name}/logs?stdout=1&stderr=1").body
