"""A controller as a process that can be killed: starts containers and says what it made, one JSON line each."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from network.controller import Controller, NetworkConfig
from network.endpoint import EndpointRequest
from network.nftables.element import Protocol
from network.ports import PortRequest

SERVER = Path(__file__).with_name("server.py")


async def main(instance: str, exec_root: str, bridge: str, first: int, count: int) -> None:
    controller = await Controller.open(
        NetworkConfig(instance=instance, exec_root=Path(exec_root), bridge=bridge)
    )
    await controller.reconcile(set())
    for number in range(count):
        print(json.dumps(await start(controller, f"c{number}", first + number)), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


async def start(controller: Controller, name: str, port: int) -> dict[str, object]:
    sandbox = await controller.create_sandbox(name)
    request = EndpointRequest(network="bridge", container_id=name, endpoint_name=name)
    endpoint = await controller.connect(sandbox, request)
    pid = await asyncio.to_thread(serve, sandbox.path, name)
    protocols: tuple[Protocol, Protocol] = ("tcp", "udp")
    wanted = [
        PortRequest(proto=each, container_port=80, host_port_start=port, host_port_end=port)
        for each in protocols
    ]
    bindings = await controller.publish(name, wanted)
    return {"pid": pid, "endpoint": msgspec.to_builtins(endpoint), "bindings": msgspec.to_builtins(bindings)}


def serve(path: str, name: str) -> int:
    argv = ["nsenter", f"--net={path}", sys.executable, "-I", str(SERVER), name, "80"]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    assert server.stdout is not None
    server.stdout.readline()
    return server.pid


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
