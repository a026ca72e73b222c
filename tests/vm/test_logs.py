"""Logs where a journal is: by its own protocol and by /dev/log, under systemd, as users look for them."""

import json

from tests.vm.machine import Machine


def entries(vm: Machine, match: str) -> list[dict[str, str]]:
    text = vm.output(f"journalctl -q -o json {match}")
    return [json.loads(line) for line in text.splitlines()]


def test_the_journal_has_a_containers_log(vm: Machine) -> None:
    script = "echo out; sleep .2; echo err >&2; head -c 20000 /dev/zero | tr '\\\\0' x; echo"
    options = "--log-driver journald --log-opt tag=told/{{.Name}} --log-opt env=COLOUR -e COLOUR=blue"
    vm.run(f'docker run --name told {options} busybox sh -c "{script}"')
    vm.until("journalctl -q -o cat CONTAINER_NAME=told | wc -l", "4")
    identifier = vm.output("docker inspect -f '{{.Id}}' told")
    found = entries(vm, "CONTAINER_NAME=told")
    # Each stream has its order, and both together have none.
    (err,) = [each for each in found if each["MESSAGE"] == "err"]
    out, first, second = [each for each in found if each is not err]
    assert (out["MESSAGE"], out["PRIORITY"]) == ("out", "6")
    assert (err["MESSAGE"], err["PRIORITY"]) == ("err", "3")
    assert (out["CONTAINER_ID_FULL"], out["CONTAINER_ID"]) == (identifier, identifier[:12])
    assert (out["CONTAINER_TAG"], out["SYSLOG_IDENTIFIER"]) == ("told/told", "told/told")
    assert (out["IMAGE_NAME"], out["COLOUR"]) == ("busybox", "blue")
    assert (first["CONTAINER_PARTIAL_LAST"], second["CONTAINER_PARTIAL_LAST"]) == ("false", "true")
    assert first["CONTAINER_PARTIAL_ID"] == second["CONTAINER_PARTIAL_ID"]
    assert vm.output("docker logs told 2>/dev/null | head -n 1") == "out"
    vm.run("docker rm told")


def test_an_entry_too_large_for_a_datagram(vm: Machine) -> None:
    """The journal refuses large datagrams and takes descriptors."""
    vm.run(
        "docker run --name large -e BIG=$(head -c 120000 /dev/zero | tr '\\0' y) -e BIG2=$(head -c 120000 /dev/zero | "
        "tr '\\0' z) --log-driver journald --log-opt env=BIG,BIG2 busybox echo hello"
    )
    vm.until("journalctl -q -o cat CONTAINER_NAME=large", "hello")
    assert (
        vm.output("journalctl -q --all -o json CONTAINER_NAME=large --output-fields=BIG2 | tr -cd z | wc -c")
        == "120000"
    )
    vm.run("docker rm large")


def test_the_hosts_syslog(vm: Machine) -> None:
    vm.run("docker run --name by-syslog --log-driver syslog --log-opt tag=by-syslog busybox echo hello")
    vm.until("journalctl -q -o cat -t by-syslog", "hello")
    assert entries(vm, "-t by-syslog")[0]["SYSLOG_FACILITY"] == "3"
    vm.run("docker rm by-syslog")


def test_the_journal_restarted_loses_nothing(vm: Machine) -> None:
    count = "n=0; while [ $n -lt 100 ]; do n=$((n+1)); echo $n; sleep .05; done"
    vm.run(f"docker run -d --name steady --log-driver journald busybox sh -c '{count}'")
    vm.run("systemctl restart systemd-journald")
    vm.run("systemctl restart wherry.service")
    vm.run("docker wait steady")
    vm.until("journalctl -q -o cat CONTAINER_NAME=steady | sort -nu | wc -l", "100")
    vm.run("docker rm steady")
