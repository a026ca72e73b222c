"""Whether what a build of the classic API asks for its steps makes sense: by the rules of containers."""

from engine.build.request import BuildRequest
from engine.build.steps import Limits
from engine.containers.config import ContainerConfig, HostConfig
from engine.containers.machinery import Machinery
from engine.containers.verify import verify

_NONE = Limits()


def require_limits(machinery: Machinery, request: BuildRequest) -> None:
    """Pass if steps can have those limits, hosts and networks. InvalidArgument in Docker's words."""
    limits = request.limits
    if limits == _NONE and request.network == "default" and not request.extra_hosts:
        return
    verify(
        ContainerConfig(),
        HostConfig(
            network_mode=request.network,
            extra_hosts=list(request.extra_hosts),
            memory=limits.memory,
            memory_swap=limits.memory_swap,
            cpu_shares=limits.cpu_shares,
            cpu_period=limits.cpu_period,
            cpu_quota=limits.cpu_quota,
            cpuset_cpus=limits.cpuset_cpus,
            cpuset_mems=limits.cpuset_mems,
            shm_size=limits.shm_size,
            ulimits=list(limits.ulimits),
            cgroup_parent=limits.cgroup_parent,
        ),
        runtimes=frozenset(machinery.config.runtimes),
        cgroup_driver=machinery.config.cgroup_driver,
        limits=machinery.limits,
    )
