"""What the engine says of itself and of its host."""

import asyncio
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from engine import version as versions
from engine.config import Config, Reloaded
from engine.config.registries import masked
from engine.containers.start import INIT
from engine.containers.state import Status
from engine.events import Events
from engine.system import host, setup
from engine.system.nouns import (
    Commit,
    Component,
    Firewall,
    FoundDevice,
    Info,
    Platform,
    Runtime,
    Version,
)
from engine.system.programs import Programs
from engine.system.registries import registry_config
from runtime import cdi, cgroups

STORAGE_DRIVER = "overlayfs"


class Counts(Protocol):
    """Tells how many containers are in each state."""

    def __call__(self) -> Mapping[Status, int]: ...  # noqa: D102


class System:
    """Gathers `/info` and `/version`. Everything is looked up when it is asked for.

    `warnings` are those of other parts of the engine, `network_drivers` those that networks have, `volume_drivers`
    those that volumes had.
    """

    def __init__(
        self,
        config: Config,
        identifier: str,
        containers: Counts,
        images: Callable[[], int],
        warnings: Callable[[], list[str]],
        network_drivers: Callable[[], Iterable[str]],
        volume_drivers: Callable[[], Iterable[str]],
        events: Events,
    ) -> None:
        self._config = config
        self._id = identifier
        self._containers = containers
        self._images = images
        self._warnings = warnings
        self._network_drivers = network_drivers
        self._volume_drivers = volume_drivers
        self._events = events
        self._programs = Programs()

    async def reload(self, reloaded: Reloaded) -> None:
        """Tell of another configuration from now on, and publish that."""
        self._config = reloaded.config
        name = os.uname().nodename
        await self._events.publish("daemon", "reload", self._id, {**reloaded.attributes, "name": name})

    async def version(self) -> Version:
        """Which engine this is, with the components that it is made of."""
        engine = {
            "ApiVersion": versions.API,
            "Arch": host.go_architecture(),
            "BuildTime": "",
            "Experimental": "false",
            "GitCommit": "",
            "GoVersion": _language(),
            "KernelVersion": os.uname().release,
            "MinAPIVersion": versions.MIN_API,
            "Os": "linux",
        }
        default = self._config.default_runtime
        programs = {
            default: await self._runtime_version(default),
            "docker-init": await self._programs.version(INIT),
        }
        components = [
            Component(name="Engine", version=versions.ENGINE, details=engine),
            Component(name="wherry", version=versions.WHERRY, details={"Language": _language()}),
        ]
        components += [
            Component(name=name, version=found, details={"GitCommit": ""})
            for name, found in programs.items()
            if found
        ]
        return Version(
            platform=Platform(name="wherry"),
            components=components,
            version=versions.ENGINE,
            api_version=versions.API,
            min_api_version=versions.MIN_API,
            git_commit=engine["GitCommit"],
            go_version=engine["GoVersion"],
            os=engine["Os"],
            arch=engine["Arch"],
            kernel_version=engine["KernelVersion"],
            build_time=engine["BuildTime"],
        )

    async def info(self) -> Info:
        """How the engine is set up, and how it and its host do."""
        config = self._config
        runtimes = {
            name: Runtime(
                path=one.path,
                runtime_args=list(one.args) or msgspec.UNSET,
                status=await self._programs.features(one.path, one.args) or msgspec.UNSET,
            )
            for name, one in config.runtimes.items()
        }
        runc = await self._runtime_version("runc")
        init = await self._programs.version(INIT)
        tasks = len(asyncio.all_tasks())
        return await asyncio.to_thread(self._gather, runtimes, runc, init, tasks)

    async def _runtime_version(self, name: str) -> str:
        """ "1.1.15+ds1" for what calls itself "runc version 1.1.15+ds1"; "" if it cannot be run."""
        one = self._config.runtimes[name]
        return await self._programs.version(one.path, one.args)

    def _gather(self, runtimes: dict[str, Runtime], runc: str, init: str, tasks: int) -> Info:
        config = self._config
        hierarchy = cgroups.detect()
        able = cgroups.capabilities_of_host(hierarchy)
        devices = cdi.scan(config.cdi_spec_dirs)
        name, version = host.operating_system()
        kernel = os.uname()
        return Info(
            id=self._id,
            **_states(self._containers()),
            **_limits(able),
            images=self._images(),
            driver=STORAGE_DRIVER,
            driver_status=setup.driver_status(config),
            plugins=setup.plugins(
                self._network_drivers(), self._volume_drivers(), config.authorization_plugins
            ),
            ipv4_forwarding=host.forwards_ipv4(),
            debug=config.debug,
            n_fd=host.open_descriptors(),
            n_goroutines=tasks,
            system_time=host.local_time(),
            logging_driver=config.log_driver,
            cgroup_driver=config.cgroup_driver,
            cgroup_version=str(hierarchy.version),
            n_events_listener=self._events.listeners,
            kernel_version=kernel.release,
            operating_system=name,
            os_version=version,
            architecture=kernel.machine,
            registry_config=registry_config(config.insecure_registries, config.registry_mirrors),
            http_proxy=masked(config.http_proxy),
            https_proxy=masked(config.https_proxy),
            no_proxy=config.no_proxy,
            ncpu=host.processors(),
            mem_total=host.memory(),
            default_address_pools=setup.address_pools(config) or msgspec.UNSET,
            docker_root_dir=str(config.data_root),
            name=kernel.nodename,
            labels=list(config.labels),
            server_version=versions.ENGINE,
            runtimes=runtimes,
            default_runtime=config.default_runtime,
            init_binary=INIT,
            runc_commit=Commit(id=runc or "N/A"),
            init_commit=Commit(id=init or "N/A"),
            security_options=setup.security_options(config),
            firewall_backend=Firewall(driver="nftables"),
            cdi_spec_dirs=list(config.cdi_spec_dirs),
            discovered_devices=[FoundDevice(source="cdi", id=name) for name in sorted(devices.devices)],
            warnings=[
                *setup.warnings(config, runc),
                *able.warnings(hierarchy.version),
                *(f"CDI: Error associated with spec file {path}: {text}" for path, text in devices.errors),
                *self._warnings(),
            ]
            or None,
        )


def _states(counts: Mapping[Status, int]) -> dict[str, Any]:
    """How many containers there are, as Docker sorts them: one that waits for its restart runs."""
    running = counts.get(Status.RUNNING, 0) + counts.get(Status.RESTARTING, 0)
    paused = counts.get(Status.PAUSED, 0)
    total = sum(counts.values())
    return {
        "containers": total,
        "containers_running": running,
        "containers_paused": paused,
        "containers_stopped": total - running - paused,
    }


def _limits(able: cgroups.HostCapabilities) -> dict[str, Any]:
    names = (
        *("memory_limit", "swap_limit", "cpu_cfs_period", "cpu_cfs_quota", "cpu_shares", "cpu_set"),
        *("pids_limit", "oom_kill_disable"),
    )
    return {name: getattr(able, name) for name in names}


def _language() -> str:
    return f"python{platform.python_version()}"
