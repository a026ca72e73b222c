"""The daemon is killed: what nft carries goes on, before, during and after the next daemon takes over."""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

import errdefs
from network import netns
from network.controller import Controller, NetworkConfig
from network.drivers.default_bridge import DefaultBridge
from network.endpoint import Endpoint
from network.ports import PortBinding
from tests.network.conftest import INSTANCE, starter, tcp
from tests.network.ground import CLIENT4, HOST4, HOST6, Ground, eventually, run

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Left:
    """A container that a killed daemon left behind."""

    pid: int
    endpoint: Endpoint
    bindings: list[PortBinding]


class Daemon:
    """A controller in a process of its own."""

    def __init__(self, ground: Ground, config: NetworkConfig, *, count: int = 2, first: int = 8080) -> None:
        arguments = [config.instance, str(config.exec_root), config.bridge, str(first), str(count)]
        environment = ["env", f"PYTHONPATH={REPOSITORY}"]
        self.process = ground.spawn(
            *environment, sys.executable, "-P", str(REPOSITORY / "tests/network/daemon.py"), *arguments
        )
        self.containers = [self._read() for _ in range(count)]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> Left:
        assert self.process.stdout is not None
        record = json.loads(self.process.stdout.readline())
        bindings = msgspec.convert(record["bindings"], list[PortBinding])
        return Left(record["pid"], msgspec.convert(record["endpoint"], Endpoint), bindings)


@pytest.fixture
def daemon(ground: Ground, config: NetworkConfig) -> Iterator[Daemon]:
    daemon = Daemon(ground, config)
    yield daemon
    for each in daemon.containers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)


class Traffic:
    """New connections from outside, one after the other, and one that stays open."""

    def __init__(self, ground: Ground, port: int) -> None:
        self.failures: list[str] = []
        self.count = 0
        self._stop = threading.Event()
        self._port = port
        self._thread = threading.Thread(target=lambda: netns.inside(ground.client, self._run), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    async def goes_on(self, count: int = 15) -> None:
        """Wait until so many more connections were answered, or one was not."""
        wanted = self.count + count
        assert await eventually(lambda: self.count >= wanted or bool(self.failures), 60)

    def _run(self) -> None:
        with socket.create_connection((HOST4, self._port), 10) as lasting:
            while not self._stop.is_set():
                try:
                    lasting.sendall(b"lasting")
                    assert lasting.recv(100).endswith(b"lasting")
                    with socket.create_connection((HOST4, self._port), 10) as fresh:
                        fresh.sendall(b"fresh")
                        assert fresh.recv(100).endswith(b"fresh")
                    self.count += 1
                except (OSError, AssertionError) as error:
                    self.failures.append(repr(error))
                time.sleep(0.001)


async def test_nothing_fails_from_kill_to_reconcile(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    traffic = Traffic(ground, 8080)
    await traffic.goes_on()
    daemon.kill()
    await traffic.goes_on()
    assert (await ground.ask(ground.client, HOST4, 8081)) == "c1 x"
    assert (await ground.ask(ground.client, HOST4, 8080, udp=True)) == "c0 x"
    controller = await Controller.open(config)
    try:
        assert (await ground.ask(ground.client, HOST4, 8081)) == "c1 x"
        for each in daemon.containers:
            assert (
                await controller.adopt(each.endpoint.container_id, each.pid, [each.endpoint], each.bindings)
                == []
            )
        await controller.reconcile({each.endpoint.container_id for each in daemon.containers})
        await traffic.goes_on()
        traffic.stop()
        assert traffic.failures == []
        for address, where in (
            (HOST4, ground.client),
            (HOST6, ground.client),
            ("127.0.0.1", ground.host),
            ("::1", ground.host),
        ):
            for datagrams in (False, True):
                assert (await ground.ask(where, address, 8081, udp=datagrams)) == "c1 x"
    finally:
        traffic.stop()
        await controller.dismantle()
        await controller.close()


async def test_what_belongs_to_nobody_is_removed(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    daemon.kill()
    kept, lost = daemon.containers
    controller = await Controller.open(config)
    try:
        await controller.adopt("c0", kept.pid, [kept.endpoint], kept.bindings)
        assert await controller.adopt("c1", lost.pid, [lost.endpoint], lost.bindings) == []
        await controller.reconcile({"c0"})
        assert await ground.ask(ground.client, HOST4, 8081, seconds=0.3) == ""
        assert await ground.ask(ground.client, HOST4, 8080) == "c0 x"
        assert "8081" not in run("nft", "list", "ruleset")
        assert "8081" not in run("ss", "-Hltun")
        start = starter(ground, controller)
        again = await start("again", [tcp(8081)])
        assert again.endpoint.ipv4 == lost.endpoint.ipv4
        assert await ground.ask(ground.client, HOST4, 8081) == f"again {CLIENT4} x"
    finally:
        await controller.dismantle()
        await controller.close()


async def test_hundreds_of_ports_are_held_again(config: NetworkConfig, daemon: Daemon) -> None:
    daemon.kill()
    controller = await Controller.open(config)
    more = {"c0": range(21000, 21150), "c1": range(22000, 22150)}
    try:
        for each in daemon.containers:
            name = each.endpoint.container_id
            ports = [
                PortBinding(proto="tcp", container_port=80, host_ip=host_ip, host_port=port)
                for port in more[name]
                for host_ip in ("0.0.0.0", "::")
            ]
            adopted = await controller.adopt(name, each.pid, [each.endpoint], [*each.bindings, *ports])
            assert adopted == []
        await controller.reconcile(set(more))
        expected = {
            f"{host}:{port}" for ports in more.values() for port in ports for host in ("0.0.0.0", "[::]")
        }
        assert await eventually(lambda: expected <= set(run("ss", "-Hltn").split()))
    finally:
        await controller.dismantle()
        await controller.close()


async def test_a_container_that_was_never_adopted_loses_its_interface(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    daemon.kill()
    kept = daemon.containers[0]
    controller = await Controller.open(config)
    try:
        await controller.adopt("c0", kept.pid, [kept.endpoint], kept.bindings)
        await controller.reconcile({"c0", "c1"})
        assert await eventually(lambda: sum("veth" in name for _, name in socket.if_nameindex()) == 1)
        assert await ground.ask(ground.client, HOST4, 8081, seconds=0.3) == ""
        assert "8080" in (rules := run("nft", "list", "ruleset"))
        assert "8081" not in rules
        assert [each.name for each in (config.exec_root / "netns").iterdir()] == [
            kept.endpoint.sandbox_id[:12]
        ]
    finally:
        await controller.dismantle()
        await controller.close()


async def test_adopted_containers_are_released_like_others(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    daemon.kill()
    controller = await Controller.open(config)
    try:
        for each in daemon.containers:
            await controller.adopt(each.endpoint.container_id, each.pid, [each.endpoint], each.bindings)
        await controller.reconcile({"c0", "c1"})
        for each in daemon.containers:
            os.kill(each.pid, signal.SIGKILL)
            await controller.release(each.endpoint.container_id)
        assert await eventually(lambda: not any("veth" in name for _, name in socket.if_nameindex()))
        assert "8080" not in run("nft", "list", "ruleset") + run("ss", "-Hltun")
        assert list((config.exec_root / "netns").iterdir()) == []
    finally:
        await controller.dismantle()
        await controller.close()


async def test_a_port_taken_meanwhile_is_a_warning(
    ground: Ground, config: NetworkConfig, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    """nft still leads there; what is lost is the proxy."""
    daemon.kill()
    controller = await Controller.open(config)
    kept = daemon.containers[0]
    try:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("0.0.0.0", 8080))
            other.listen()
            assert await controller.adopt("c0", kept.pid, [kept.endpoint], kept.bindings) == []
            await controller.reconcile({"c0"})
            assert await eventually(lambda: bool(caplog.messages))
            assert caplog.messages == [
                "endpoint c0: Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use"
            ]
            assert await eventually(lambda: "[::]:8080" in run("ss", "-Hltn"))
            assert await ground.ask(ground.client, HOST4, 8080) == "c0 x"
    finally:
        await controller.dismantle()
        await controller.close()


async def test_a_port_that_two_had_is_the_first_ones(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    """A record may tell of a port that was given away before a daemon died."""
    daemon.kill()
    controller = await Controller.open(config)
    first, second = daemon.containers[:2]
    try:
        assert await controller.adopt("c0", first.pid, [first.endpoint], first.bindings) == []
        stale = [*second.bindings, *first.bindings]
        warnings = await controller.adopt("c1", second.pid, [second.endpoint], stale)
        assert len(warnings) == len(first.bindings)
        assert all(each.endswith("failed: port is already allocated") for each in warnings)
        assert controller.bindings("c1") == second.bindings
        await controller.reconcile({"c0", "c1"})
        assert await ground.ask(ground.client, HOST4, 8080) == "c0 x"
        assert await ground.ask(ground.client, HOST4, 8081) == "c1 x"
    finally:
        await controller.dismantle()
        await controller.close()


async def test_a_process_that_is_gone_is_not_found(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    daemon.kill()
    gone = ground.spawn("true")
    gone.wait()
    controller = await Controller.open(config)
    kept = daemon.containers[0]
    try:
        with pytest.raises(errdefs.NotFound):
            await controller.adopt("c0", gone.pid, [kept.endpoint], kept.bindings)
        await controller.reconcile(set())
    finally:
        await controller.dismantle()
        await controller.close()


async def test_a_table_of_an_older_version_is_replaced(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    daemon.kill()
    table = f"inet wherry_{INSTANCE}"
    run(
        "nft",
        f"delete table {table}; table {table} {{ set bridges {{ type ipv4_addr; }}; chain old {{ }}; }}",
    )
    controller = await Controller.open(config)
    kept = daemon.containers[0]
    try:
        await controller.adopt("c0", kept.pid, [kept.endpoint], kept.bindings)
        await controller.reconcile({"c0"})
        assert await ground.ask(ground.client, HOST4, 8080) == "c0 x"
        assert "old" not in run("nft", "list", "table", *table.split())
    finally:
        await controller.dismantle()
        await controller.close()


async def test_a_container_of_another_subnet_keeps_its_interface(
    ground: Ground, config: NetworkConfig, daemon: Daemon
) -> None:
    """The daemon was given another --bip while containers ran: they are told of, not cut off."""
    daemon.kill()
    kept = daemon.containers[0]
    controller = await Controller.open(replace(config, default_bridge=DefaultBridge(bip="10.9.0.1/24")))
    try:
        warnings = await controller.adopt("c0", kept.pid, [kept.endpoint], [])
        assert warnings == ["invalid address 172.17.0.2: It does not belong to any of this network's subnets"]
        await controller.reconcile({"c0"})
        assert sum("veth" in name for _, name in socket.if_nameindex()) == 1
        await controller.release("c0")
    finally:
        await controller.dismantle()
        await controller.close()
