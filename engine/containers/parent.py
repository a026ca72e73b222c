"""Where in the hierarchy of control groups a container's is, and what those above it have to have."""

import asyncio

from engine.containers.container import Container
from engine.containers.machinery import Machinery
from runtime import cgroups


def cgroups_path(container: Container, machinery: Machinery) -> str:
    """The runtime's form of it."""
    return cgroups.path_for(container.id, _parent(container, machinery), machinery.config.cgroup_driver)


async def share_realtime(container: Container, machinery: Machinery) -> None:
    """Where the daemon gives containers real-time CPU time, the groups above this one have it first."""
    period, runtime = machinery.config.cpu_rt_period, machinery.config.cpu_rt_runtime
    if period or runtime:
        parent = _parent(container, machinery) or cgroups.PARENT
        await asyncio.to_thread(cgroups.share_realtime, parent, period, runtime)


def _parent(container: Container, machinery: Machinery) -> str:
    """The group above it: the container's own choice, else the daemon's; "" for the usual one."""
    return container.host_config.cgroup_parent or machinery.config.cgroup_parent
