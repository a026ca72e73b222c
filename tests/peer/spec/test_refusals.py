"""What dockerd refuses to put into a spec is refused with the same words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from errdefs import InvalidArgument
from runtime.spec import devices, mounts, propagation, seccomp, user
from tests.peer.peer import Peer
from tests.peer.spec.conftest import Capturing
from tests.unix_http import call

pytestmark = pytest.mark.root

GROUP = b"root:x:0:\ntty:x:5:\n"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\n"


def profile(text: str) -> Callable[[], Any]:
    """Return a parse of this profile."""
    return lambda: seccomp.parse_profile(text.encode(), ())


BOTH_NAMES = (
    '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ERRNO"}]}'
)
BOTH_ARCHES = (
    '{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],'
    '"archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}'
)
# (Config, HostConfig, what of ours is asked for the same thing)
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[], Any]]] = {
    "no such user": ({"User": "jane"}, {}, lambda: user.resolve("jane", [], PASSWD, GROUP)),
    "no such group": ({"User": "root:jane"}, {}, lambda: user.resolve("root:jane", [], PASSWD, GROUP)),
    "no such added group": ({}, {"GroupAdd": ["jane"]}, lambda: user.resolve("", ["jane"], PASSWD, GROUP)),
    "negative": ({"User": "-1"}, {}, lambda: user.resolve("-1", [], PASSWD, GROUP)),
    "too large": ({"User": "2147483648"}, {}, lambda: user.resolve("2147483648", [], PASSWD, GROUP)),
    "hexadecimal": ({"User": "0x0"}, {}, lambda: user.resolve("0x0", [], PASSWD, GROUP)),
    "rule": ({}, {"DeviceCgroupRules": ["c 1:3 q"]}, lambda: devices.parse_rule("c 1:3 q")),
    "two names": ({}, {"SecurityOpt": [f"seccomp={BOTH_NAMES}"]}, profile(BOTH_NAMES)),
    "two arches": ({}, {"SecurityOpt": [f"seccomp={BOTH_ARCHES}"]}, profile(BOTH_ARCHES)),
    "tmpfs": (
        {},
        {"Tmpfs": {"/t": "size=1m,nope=2"}},
        lambda: mounts.to_oci(mounts.Tmpfs(destination="/t", options="size=1m,nope=2")),
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_words(
    capturing: Capturing, peer: Peer, case: tuple[dict[str, Any], dict[str, Any], Callable[[], Any]]
) -> None:
    config, host_config, ours = case
    theirs = answer(capturing, peer, config, host_config)
    with pytest.raises(InvalidArgument) as caught:
        ours()
    # The peer begins one of them with a capital; today's Docker does not.
    assert caught.value.message.lower() in theirs.lower()


@pytest.mark.parametrize("word", ["rshared", "slave"])
def test_propagation(capturing: Capturing, peer: Peer, word: str) -> None:
    theirs = answer(capturing, peer, {}, {"Binds": [f"/usr:/b:{word}"]})
    with pytest.raises(InvalidArgument) as caught:
        propagation.check("/usr", word, Path(f"/proc/{peer.pid}/mountinfo").read_text())
    assert caught.value.message == theirs


def answer(capturing: Capturing, peer: Peer, config: dict[str, Any], host_config: dict[str, Any]) -> str:
    """Return what dockerd says to this container at create or else at start."""
    status, created = capturing.create(config, host_config)
    if status != 201:
        return str(created["message"])
    container = created["Id"]
    started = call(peer.socket, "POST", f"/v1.45/containers/{container}/start")
    call(peer.socket, "DELETE", f"/v1.45/containers/{container}?force=1&v=1")
    assert started.status >= 400
    return str(started.json["message"])
