"""userns-remap beside dockerd's: what is refused, what is told, and what a container sees of itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peer.comparison import require
from tests.peer.peer import Both, Peer, missing
from tests.remapped import ACCOUNT, COUNT, FIRST, remapped, write_ranges
from tests.roots import make_root

pytestmark = pytest.mark.root
HOSTS: list[dict[str, Any]] = [
    {},
    {"Privileged": True},
    {"NetworkMode": "host"},
    {"PidMode": "host"},
    {"UsernsMode": "host", "Privileged": True, "PidMode": "host", "NetworkMode": "host"},
]
STARTED: list[dict[str, Any]] = [
    {"IpcMode": "host"},
    {"OomScoreAdj": -500},
    {"Ulimits": [{"Name": "nofile", "Soft": 1 << 20, "Hard": 1 << 20}]},
    {"Sysctls": {"net.core.somaxconn": "99"}},
    {"CapAdd": ["ALL"], "ReadonlyRootfs": True},
]
LOOK = """
for each in user net pid ipc mnt uts; do [ -e /proc/self/ns/$each ] && echo $each; done
cat /proc/self/uid_map /proc/self/gid_map
stat -c '%n %u:%g %a' / /etc /etc/hosts /etc/hostname /etc/resolv.conf /dev /dev/shm /dev/null /proc /sys /v /t /w
grep -E '^(Cap|Seccomp|NoNewPrivs|Groups|Uid|Gid)' /proc/self/status
cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range
"""


@pytest.fixture(scope="module")
def both(busybox_tar: Path) -> Iterator[Both]:
    if reason := missing():
        pytest.skip(reason)
    root = make_root("peer-")
    root.chmod(0o711)
    write_ranges(root, f"nobody:{FIRST}:{COUNT}\n")
    before = " && ".join(f"mount --bind {root}/{name} /etc/{name}" for name in ("subuid", "subgid"))
    peer, ours = Peer(root, f"--userns-remap={ACCOUNT}", before), remapped()
    try:
        peer.start()
        ours.start()
        peer.docker("import", "--change", 'CMD ["sh"]', "-", "busybox:latest", stdin=busybox_tar.read_bytes())
        ours.import_busybox(busybox_tar)
        yield Both(ours, peer)
    finally:
        ours.destroy()
        peer.destroy()


def created(both: Both, host: dict[str, Any], *, start: bool = False) -> list[str]:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", **host}}
    answers = [both("POST", "/containers/create?name=un", body)]
    if start:
        answers.append(both("POST", "/containers/un/start"))
    answers.append(both("GET", "/containers/un/json"))
    both("DELETE", "/containers/un?force=1")
    lines = []
    for ours, theirs in answers:
        told = [shown(answer.body) for answer in (ours, theirs)]
        if (ours.status, told[0]) != (theirs.status, told[1]):
            lines.append(f"{host}: {ours.status} {told[0]} for {theirs.status} {told[1]}")
    return lines


def shown(body: Any) -> Any:
    """What is compared of a body: messages, and what the host configuration tells of namespaces."""
    if isinstance(body, dict) and "HostConfig" in body:
        return {
            name: body["HostConfig"][name] for name in ("UsernsMode", "IpcMode", "PidMode", "NetworkMode")
        }
    return body.get("message") if isinstance(body, dict) else body


def test_what_is_created(both: Both) -> None:
    require([line for host in HOSTS for line in created(both, host)])


def test_what_is_started(both: Both) -> None:
    require([line for host in STARTED for line in created(both, host, start=True)])


@pytest.mark.parametrize("options", [[], ["-u", "7:8"], ["--ipc", "shareable"], ["-t"]])
def test_what_a_container_sees(both: Both, options: list[str]) -> None:
    """But for `--userns host`, in which dockerd's has an image whose files belong to another root."""
    inside = ["-v", "seen:/v", "--tmpfs", "/t", "-w", "/w", "busybox", "sh", "-c", LOOK]
    seen = []
    for daemon in (both.wherryd, both.peer):
        said = daemon.docker("run", "--rm", *options, *inside).stdout
        seen.append((said.decode() if isinstance(said, bytes) else said).splitlines())
    require([f"{ours!r} for {theirs!r}" for ours, theirs in zip(*seen, strict=True) if ours != theirs])


def test_info(both: Both) -> None:
    ours, theirs = both("GET", "/info")
    assert "name=userns" in ours.body["SecurityOptions"]
    assert ours.body["SecurityOptions"] == theirs.body["SecurityOptions"]
