"""How long the network takes of each of some starts, by the daemon's own controller: prints the ms, one a line.

Runs on a host of its own (`unshare -n`): network_part.py STARTS
"""

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from network.controller import Controller, NetworkConfig
from network.drivers.driver import NetworkInfo
from network.endpoint import EndpointRequest, new_id

NETWORK = "bench"
A_REST = 0.05  # the kernel takes the last namespace away meanwhile


async def main(starts: int) -> None:
    """A namespace with its loopback, an interface on a user's network, addresses, the default route, DNS."""
    with tempfile.TemporaryDirectory() as folder:
        controller = await Controller.open(NetworkConfig(instance="be4cbe4c", exec_root=Path(folder)))
        await controller.reconcile(set())
        asked = NetworkInfo(name=NETWORK, id=new_id(), driver="bridge", created=datetime.now(UTC))
        await controller.create_network(asked)
        for number in range(starts):
            await asyncio.sleep(A_REST)
            print(await start(controller, f"c{number}"))
        await controller.dismantle()
        await controller.close()


async def start(controller: Controller, name: str) -> float:
    """The ms that one takes; it is taken back."""
    request = EndpointRequest(network=NETWORK, container_id=name, endpoint_name=name, names=(name,))
    began = time.perf_counter()
    sandbox = await controller.create_sandbox(name)
    await controller.connect(sandbox, request)
    took = (time.perf_counter() - began) * 1000
    await controller.release(name)
    return took


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
