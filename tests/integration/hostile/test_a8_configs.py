"""A8: configs of images that ask for root, for what the host knows, for places of the host, or for features of ours."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hostile.doors import DOORS, Gate, docker_archive_door
from tests.integration.images.archives import Made
from tests.integration.storage.archives import directory, member, symlink, tar

pytestmark = pytest.mark.root
HARMLESS = {"Cmd": ["true"]}


@pytest.fixture(scope="module")
def busybox(busybox_tar: Path) -> bytes:
    """The layer of a small system."""
    return busybox_tar.read_bytes()


def image(gate: Gate, config: dict[str, Any], *layers: bytes) -> str:
    """Load an image with such a config."""
    outcome = docker_archive_door(gate, Made(layers=list(layers), said={"config": config}))
    assert outcome.error == ""
    return outcome.image


def run(gate: Gate, name: str, *command: str) -> tuple[int, str, str]:
    """Run a container of it; how it ended, and what it said."""
    done = gate.daemon.docker("run", "--rm", name, *command, check=False)
    return done.returncode, done.stdout, done.stderr


USERS = [
    *("4294967296", "4294967295", "2147483648", "-1", "-0x1", "0x0", "18446744073709551616", "9" * 400),
    *("root:18446744073709551616", "1000:4294967296", "1000:-1", "1000:0x0", "0b0", "1e0", "\u0660", " 0"),
]


@pytest.mark.parametrize("user", USERS)
def test_a_number_that_is_no_user_is_never_root(gate: Gate, busybox: bytes, user: str) -> None:
    """CVE-2024-40635, CVE-2026-46680: out of range, it was root's."""
    status, out, err = run(gate, image(gate, {"User": user}, busybox), "id", "-u")
    assert (status, out) == (125, "") or status == 126
    assert "unable to find" in err or "range 0-2147483647" in err


def test_what_people_write_for_users_works(gate: Gate, busybox: bytes) -> None:
    for user, expected in (("1000", "1000 0"), ("1000:2000", "1000 2000"), ("2147483647", "2147483647 0")):
        name = image(gate, {"User": user}, busybox)
        assert run(gate, name, "sh", "-c", "echo $(id -u) $(id -g)")[1].strip() == expected
        gate.send_back()


def test_names_without_a_value_bring_nothing_of_the_host(gate: Gate, busybox: bytes) -> None:
    """The daemon of the tests has a SECRET in its environment."""
    told = ["SECRET", "NOTIFY_SOCKET", "LISTEN_FDS", "PATH", "A=b", "HOME"]
    status, out, err = run(gate, image(gate, {"Env": told}, busybox), "/bin/env")
    assert status == 0, err
    found = dict(line.split("=", 1) for line in out.splitlines())
    assert set(found) - {"", "HOSTNAME", "A", "HOME"} == set()
    assert found["A"] == "b"


def test_a_value_without_a_name_is_refused(gate: Gate, busybox: bytes) -> None:
    """dockerd makes such a container, which its runtime then cannot start; an empty entry both pass over."""
    for told, expected in ((["=x", "A=b"], "invalid environment variable: =x"), (["", "A=b"], "")):
        status, _, err = run(gate, image(gate, {"Env": told}, busybox), "true")
        assert (status, expected in err) == (125 if expected else 0, True)
        gate.send_back()


WORKDIRS = ["/w", "/w/new", "/w/etc/new", "/up/new", "/../../../../../../tmp/x", "/loop/x"]


@pytest.mark.parametrize("place", WORKDIRS)
def test_a_working_directory_through_a_link_is_made_inside(
    gate: Gate, busybox: bytes, canary: Path, place: str
) -> None:
    """CVE-2026-55686: it was made on the host."""
    links = tar([symlink("w", str(canary)), symlink("up", "../" * 16 + str(canary)), symlink("loop", "loop")])
    status, out, _ = run(gate, image(gate, {"WorkingDir": place}, busybox, links), "pwd")
    assert (status == 0) == bool(out)
    assert sorted(os.listdir(canary)) == ["etc", "link"]


@pytest.mark.parametrize(
    "place", ["relative", "/a\0b", "/" + "x" * 300, "/" + "x/" * 3000, "/etc/passwd", "/proc/1/x"]
)
def test_odd_working_directories(gate: Gate, busybox: bytes, place: str) -> None:
    status, _, err = run(gate, image(gate, {"WorkingDir": place}, busybox), "pwd")
    assert status == 0 or "Error response from daemon" in err


@pytest.mark.parametrize("place", ["/w", "/w/etc", "/up", "/up/etc", "/w/link"])
def test_a_volume_through_a_link_holds_nothing_of_the_host(
    gate: Gate, busybox: bytes, canary: Path, place: str
) -> None:
    """CVE-2022-23648: what the link means on the host was copied in."""
    links = tar([symlink("w", str(canary)), symlink("up", "../" * 16 + str(canary))])
    name = image(gate, {"Volumes": {place: {}}}, busybox, links)
    _, out, _ = run(gate, name, "sh", "-c", f"cat {place}/etc/passwd {place}/passwd; echo x > {place}/new")
    assert "canary" not in out
    assert sorted(os.listdir(canary)) == ["etc", "link"]


@pytest.mark.parametrize(
    "place", ["/", "relative", "../../x", "/../../..", "", "/a:/b", "/proc", "/a\0b", "/" + "x" * 300]
)
def test_odd_volumes(gate: Gate, busybox: bytes, place: str) -> None:
    status, _, err = run(gate, image(gate, {"Volumes": {place: {}}}, busybox), "true")
    assert status == 0 or "Error response from daemon" in err


LABELS = {
    "containerd.io/restart.logpath": "binary:///bin/sh?-c=touch",
    "containerd.io/restart.status": "running",
    "io.containerd.runtime": "evil",
    "wherry.auto-update": "true",
    "wherry.privileged": "true",
    "wherry.restart": "always",
    "wherry": "x",
    "com.docker.compose.project": "p",
    "io.kubernetes.cri.container-type": "sandbox",
    "org.systemd.property.TimeoutStopUSec": "0",
    "run.oci.handler": "wasm",
    "": "empty",
    "x" * 5000: "y" * 50_000,
}


def test_labels_switch_nothing_on(gate: Gate, busybox: bytes) -> None:
    """CVE-2026-53488: a label chose a program that logs, which ran as root."""
    shown = []
    for labels in ({}, LABELS):
        name = image(gate, {**HARMLESS, "Labels": labels}, busybox)
        created = gate.daemon.docker("create", name).stdout.strip()
        gate.daemon.docker("start", "-a", created)
        inspected = gate.daemon.get(f"/containers/{created}/json").json
        assert inspected["Config"]["Labels"] == labels
        shown.append(
            (inspected["HostConfig"], inspected["Mounts"], inspected["State"]["Status"], inspected["Args"])
        )
        spec = json.dumps(gate.daemon.get(f"/containers/{created}/json").json["Config"])
        assert "restart" not in spec or labels
        gate.daemon.docker("rm", created)
        gate.send_back()
    assert shown[0] == shown[1]


def test_an_entrypoint_of_a_megabyte(gate: Gate, busybox: bytes) -> None:
    name = image(gate, {"Entrypoint": ["sh", "-c", "x" * (1 << 20)]}, busybox)
    assert gate.daemon.get(f"/images/{name}/json").status == 200
    status, out, err = run(gate, name)
    assert status, out
    assert "too long" in err.lower()
    assert len(err) < 10_000


@pytest.mark.parametrize("moment", [0, -1, 1, 10**30, 1e30, "5s", 9223372036854775807])
@pytest.mark.parametrize("field", ["Interval", "Timeout", "StartPeriod", "Retries"])
def test_health_checks_of_absurd_moments(gate: Gate, field: str, moment: object) -> None:
    """Refused where it comes in or where a container is made; never a daemon that spins."""
    check = {"Test": ["CMD", "true"], field: moment}
    outcome = docker_archive_door(gate, Made(said={"config": {**HARMLESS, "Healthcheck": check}}))
    if outcome.error:
        assert "invalid image config" in outcome.error
        return
    created = gate.daemon.call("POST", "/containers/create", {"Image": outcome.image})
    assert created.status < 500 or "not" in created.json["message"]
    if created.status == 201:
        gate.daemon.docker("rm", created.json["Id"])


ODD: dict[str, dict[str, Any]] = {
    "a signal that is none": {"StopSignal": "SIGBOGUS"},
    "a signal of a number": {"StopSignal": "99999999999999999999"},
    "a command of a NUL": {"Cmd": ["a\0b"]},
    "a command that is empty": {"Cmd": [""]},
    "no command": {"Cmd": [], "Entrypoint": []},
    "10,000 variables": {"Env": [f"V{n}=x" for n in range(10_000)]},
    "a variable of a NUL": {"Env": ["A=b\0c"]},
    "a port that is none": {"ExposedPorts": {"99999/tcp": {}, "x/y": {}, "": {}}},
    "a host name that is none": {"Hostname": "../../etc", "Domainname": "\n"},
    "a MAC address that is none": {"MacAddress": "zz"},
    "a stop timeout without end": {"StopTimeout": -(2**63)},
    "a shell of nothing": {"Shell": [""]},
    "what only clients ask for": {
        "Tty": True,
        "OpenStdin": True,
        "AttachStdout": True,
        "NetworkDisabled": True,
    },
    "a container's own settings": {
        "HostConfig": {"Privileged": True},
        "Privileged": True,
        "Binds": ["/:/host"],
    },
    "fields of other kinds": {"Cmd": [1]},
    "variables that are a text": {"Env": "A=b"},
    "labels that are a list": {"Labels": ["a"]},
}


@pytest.mark.parametrize("case", ODD)
def test_odd_configs(gate: Gate, busybox: bytes, case: str) -> None:
    outcome = docker_archive_door(gate, Made(layers=[busybox], said={"config": {**HARMLESS, **ODD[case]}}))
    if outcome.error:
        assert "invalid image config" in outcome.error
        return
    status, _, err = run(gate, outcome.image)
    assert status == 0 or "rror" in err
    created = gate.daemon.call("POST", "/containers/create", {"Image": outcome.image})
    if created.status != 201:
        assert created.status < 500
        return
    shown = gate.daemon.get(f"/containers/{created.json['Id']}/json").json
    gate.daemon.docker("rm", created.json["Id"])
    assert not shown["HostConfig"]["Privileged"]
    assert not shown["HostConfig"]["Binds"]
    assert shown["Config"]["Tty"] is False


DOCUMENTS: dict[str, dict[str, Any]] = {
    "history without end": {"history": [{"created_by": "x"}] * 2000},
    "a moment that is none": {"created": "yesterday"},
    "a moment of the year 10^9": {"created": "999999999-01-01T00:00:00Z"},
    "a system that is none": {"os": "../../linux"},
    "diff ids that are paths": {"rootfs": {"type": "layers", "diff_ids": ["sha256:../../x"]}},
    "layers of another type": {"rootfs": {"type": "x", "diff_ids": None}},
    "no config": {"config": None},
    "a config that is a list": {"config": []},
}


@pytest.mark.parametrize("case", DOCUMENTS)
@pytest.mark.parametrize("door", [door for door in DOORS if door != "import"])
def test_odd_documents(gate: Gate, case: str, door: str) -> None:
    outcome = DOORS[door](gate, Made(said=DOCUMENTS[case]))
    if outcome.image:
        answers = [gate.daemon.get(f"/images/{outcome.image}/{what}").status for what in ("json", "history")]
        assert answers == [200, 200]


def test_hosts_and_resolv_conf_as_links(gate: Gate, busybox: bytes, canary: Path) -> None:
    """What the daemon mounts there lands in the container."""
    places = tar(
        [
            directory("etc"),
            *(
                symlink(f"etc/{name}", f"{canary}/etc/passwd")
                for name in ("hosts", "hostname", "resolv.conf")
            ),
            member("etc/mtab", data=b"x"),
        ]
    )
    status, _, err = run(gate, image(gate, HARMLESS, busybox, places), "true")
    assert status == 0 or "rror" in err
