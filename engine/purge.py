"""Removing what an instance has in the kernel's network while no daemon of it runs, as before it is uninstalled."""

import asyncio

import errdefs
from engine.config import Config
from engine.instance import MARKER, Instance
from network.controller import Controller, NetworkConfig


async def purge_network(config: Config) -> None:
    """Bridges, interfaces, tables of nftables and rules of iptables go; records stay, so a daemon makes all again.

    Raises InvalidArgument where no daemon ever was, Conflict while one runs, SystemFailure when the kernel refuses.
    """
    if not (config.data_root / MARKER).exists():
        raise errdefs.InvalidArgument(f"no wherryd had the data root {config.data_root}: it has no {MARKER}")
    instance = await asyncio.to_thread(Instance.claim, config.data_root)
    try:
        await _purge(config, instance.id)
    finally:
        instance.close()


async def _purge(config: Config, instance: str) -> None:
    """To a controller that knows of no network and no container, all that it finds is a stray."""
    controller = await Controller.open(
        NetworkConfig(
            instance=instance,
            exec_root=config.exec_root,
            bridge=config.bridge,
            default_bridge=config.default_bridge,
            ip_forward=False,
        )
    )
    try:
        await controller.reconcile(set())
        await controller.dismantle()
    finally:
        await controller.close()
