"""Names and addresses that a container is given, and what its log records carry."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Run, refused
from tests.waiting import eventually

pytestmark = pytest.mark.root


def gateway(wherryd: Wherryd) -> str:
    return str(wherryd.get("/networks/bridge").json["IPAM"]["Config"][0]["Gateway"])


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_added_hosts(run: Run, wherryd: Wherryd, network: str) -> None:
    box = run(
        {
            "NetworkMode": network,
            "ExtraHosts": ["db:10.9.8.7", "up:host-gateway", "six:fd00::1", "b: 1.2.3.4"],
        }
    )
    lines = kernel.file(box.pid, "/etc/hosts").splitlines()
    added = ["10.9.8.7\tdb", f"{gateway(wherryd)}\tup", "fd00::1\tsix", "1.2.3.4\tb"]
    assert [line for line in lines if line in added] == added
    if network == "host":  # as in dockerd, instead of the names that the host has
        assert lines[0] == "127.0.0.1\tlocalhost"
        assert lines[-len(added) :] == added


def test_hosts_that_are_none(wherryd: Wherryd) -> None:
    for entry, text in (
        ("a", 'bad format for add-host: "a"'),
        (":1.2.3.4", 'bad format for add-host: ":1.2.3.4"'),
        ("a:", 'invalid IP address in add-host: ""'),
        ("a:1.2.3", 'invalid IP address in add-host: "1.2.3"'),
        ("a:[::1]", 'invalid IP address in add-host: "[::1]"'),
        ("a:Host-Gateway", 'invalid IP address in add-host: "Host-Gateway"'),
    ):
        assert refused(wherryd, {"ExtraHosts": [entry]}) == (400, text)


def test_labels_that_are_too_long_for_each_record(wherryd: Wherryd) -> None:
    log = {"LogConfig": {"Config": {"labels": "a"}}}
    status, told = refused(wherryd, log, Labels={"a": "x" * 70_000})
    assert (status, "at most 65536 bytes: these are 70" in told) == (400, True)


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_dns(run: Run, network: str) -> None:
    asked = {"Dns": ["9.9.9.9", "fd00::9"], "DnsOptions": ["ndots:2", "timeout:1"], "DnsSearch": ["x.y", "z"]}
    box = run({"NetworkMode": network, **asked})
    lines = kernel.file(box.pid, "/etc/resolv.conf").splitlines()
    said = [line for line in lines if line and not line.startswith("#")]
    assert said == ["nameserver 9.9.9.9", "nameserver fd00::9", "search x.y z", "options ndots:2 timeout:1"]


def test_no_search_domain(run: Run) -> None:
    text = kernel.file(run({"NetworkMode": "bridge", "DnsSearch": ["."]}).pid, "/etc/resolv.conf")
    assert "search" not in [line.split(" ")[0] for line in text.splitlines()]


def test_a_name_server_that_is_none(wherryd: Wherryd) -> None:
    assert refused(wherryd, {"Dns": ["1.1.1.1\nsearch x"]}) == (
        400,
        "bad nameserver address 1.1.1.1\nsearch x",
    )


def test_what_log_records_carry(run: Run) -> None:
    options = {"labels": "tier", "env": "REGION", "env-regex": "^X_", "tag": "{{.Name}}/{{.ImageName}}"}
    box = run(
        {"LogConfig": {"Type": "json-file", "Config": options}},
        Cmd=["sh", "-c", "echo hello; sleep 1000"],
        Labels={"tier": "web", "other": "x"},
        Env=["REGION=eu", "X_A=1", "SECRET=s"],
    )
    name = box.inspect()["Name"].removeprefix("/")
    log = Path(box.inspect()["LogPath"])
    eventually(lambda: "\n" in log.read_text())
    record = json.loads(log.read_text().splitlines()[0])
    assert record["log"] == "hello\n"
    assert record["attrs"] == {"tier": "web", "REGION": "eu", "X_A": "1", "tag": f"{name}/busybox"}


def test_logs_that_cannot_be(wherryd: Wherryd) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"Type": "json-file", "Config": {"nope": "x"}}, "unknown log opt 'nope' for json-file log driver"),
        ({"Type": "json-file", "Config": {"max-size": "-1"}}, "invalid size: '-1'"),
        (
            {"Type": "json-file", "Config": {"max-buffer-size": "1m"}},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        ({"Type": "json-file", "Config": {"mode": "x"}}, "logger: logging mode not supported: x"),
        ({"Type": "nosuch"}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
    ]
    for log, text in cases:
        assert refused(wherryd, {"LogConfig": log}) == (400, text)
