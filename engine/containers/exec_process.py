"""What an exec is asked to be, and the OCI process object of it."""

import asyncio
import os
import time
from typing import Any

import msgspec

import errdefs
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.network_mode import mode_of
from engine.containers.oci import Surroundings, process_options
from engine.containers.parent import cgroups_path
from engine.wire import Noun
from runtime import apparmor
from runtime.execs import ExecProcess
from runtime.paths import read_in_root
from runtime.spec import capabilities
from runtime.spec.build import exec_process
from runtime.spec.environment import environment, override
from runtime.spec.user import User, resolve

MAX_ARGUMENT = 1 << 17
"""Bytes that the kernel takes as one argument or variable (MAX_ARG_STRLEN), its final NUL included."""


class ExecConfig(Noun):
    """The body of an exec create request (API 1.55, `ExecConfig`)."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] | None = None  # height, width
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    env: list[str] | None = None
    working_dir: str = ""
    cmd: list[str] | None = None


def verify(config: ExecConfig) -> None:
    """Raise InvalidArgument for what no process can be."""
    if not config.cmd:
        raise errdefs.InvalidArgument("No exec command specified")
    for entry in config.env or ():
        if entry.startswith("=") or "\0" in entry:
            raise errdefs.InvalidArgument(f"invalid environment variable: {entry!r}")
    if any(len(word.encode()) >= MAX_ARGUMENT for word in (*config.cmd, *(config.env or ()))):
        raise errdefs.InvalidArgument("invalid exec: argument list too long")
    if "\0" in "".join((*config.cmd, config.working_dir, config.user)):
        raise errdefs.InvalidArgument("invalid exec: command, user or working directory contains a NUL byte")


class Exec(msgspec.Struct):
    """An exec: asked, running or over. A probe of its container's health is one as long as it runs."""

    id: str
    container_id: str
    config: ExecConfig
    created: float = msgspec.field(default_factory=time.monotonic)
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    process: ExecProcess | None = None
    ended_at: float = 0.0
    begun: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set once the process is there, or has failed to come."""
    over: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    @property
    def command(self) -> str:
        """As the events tell it."""
        program, *arguments = self.config.cmd or [""]
        return (
            f"{program} {' '.join(arguments)}"  # with a blank after a program without arguments, as in Docker
        )


async def process_of(
    container: Container, config: ExecConfig, machinery: Machinery, console_size: list[int] | None
) -> dict[str, Any]:
    """The process object: as the container's own in all that the exec does not say."""
    if config.working_dir and not config.working_dir.startswith("/"):
        raise errdefs.InvalidArgument(
            "OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown"
        )
    user = await asyncio.to_thread(_user, container, config, machinery)
    privileged = capabilities.resolve(privileged=True) if config.privileged else None
    around = Surroundings(
        rootfs=str(machinery.rootfs(container.id)),
        user=user,
        joined={},
        files={},
        ulimits=machinery.config.default_ulimits,
        cgroups_path=cgroups_path(container, machinery),
        init_path="",
        seccomp_profile=machinery.seccomp_profile,
        cgroup_version=machinery.hierarchy.version,
        no_new_privileges=machinery.config.no_new_privileges,
    )
    size = console_size
    process = exec_process(
        process_options(container, around),
        args=tuple(config.cmd or ()),
        env=_environment(container, config),
        cwd=config.working_dir or container.config.working_dir,
        terminal=config.tty,
        console_size=(size[0], size[1]) if size and len(size) == 2 else None,
        user=user,
        privileged_capabilities=privileged,
    )
    await apparmor.ensure(process.get("apparmorProfile"))
    return process


def _user(container: Container, config: ExecConfig, machinery: Machinery) -> User:
    rootfs = machinery.rootfs(container.id)
    return resolve(
        config.user or container.config.user,
        container.host_config.group_add or (),
        read_in_root(rootfs, "/etc/passwd"),
        read_in_root(rootfs, "/etc/group"),
    )


def _environment(container: Container, config: ExecConfig) -> tuple[str, ...]:
    on_host = mode_of(container) == "host" or container.host_config.uts_mode == "host"
    hostname = os.uname().nodename if on_host else container.config.hostname
    own = environment(container.link_variables, container.config.env or (), hostname, tty=config.tty)
    return tuple(override(own, config.env or ()))
