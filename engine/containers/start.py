"""Starting a container."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

import errdefs
from engine.config import RuntimePath
from engine.containers import (
    bundle,
    device_requests,
    donors,
    files,
    linked,
    mounts,
    networking,
    parent,
    shared_memory,
    sources,
)
from engine.containers.container import Container, State
from engine.containers.live import Live
from engine.containers.machinery import Machinery
from engine.containers.oci import Surroundings, spec_options
from engine.containers.places import Place
from engine.containers.starting import Starting
from engine.containers.state import Action, Status
from engine.containers.store import ContainerStore
from engine.health.health import Check, begun
from engine.undo import Undo
from runtime import apparmor
from runtime.paths import read_in_root
from runtime.spec import build, user
from runtime.task import Task
from runtime.task_values import Attach, Runtime, TaskRequest

STEPS = (
    "directory", "mount", "sandbox", "endpoint", "endpoints", "ports", "shm", "files", "sources", "bundle", "create",
    "attach", "start", "save",
)  # fmt: skip
INIT = "/usr/bin/tini-static"


async def start(container: Container, live: Live, machinery: Machinery, store: ContainerStore) -> Container:
    """Bring a container to life; what went wrong is told in Docker's words and nothing stays of it.

    The caller holds the container's lock. Returns the record as committed.
    """
    container.require(Action.START)
    machinery.supervisor.expect()
    live.starting = starting = Starting(container.id)
    live.got = None
    try:
        container = networking.with_shared_name(container, store)
        with (
            donors.joining(container, store) as joined,
            networking.holding(container, machinery.networks) as found,
        ):
            return await _start(container, joined, found, live, starting, machinery, store)
    except OSError as error:
        on = f"{error.filename}: " if error.filename else ""  # a write does not know its file's name
        raise errdefs.SystemFailure(f"cannot start container {container.id}: {on}{error.strerror}") from error
    finally:
        live.starting = None
        starting.over()


async def _start(
    container: Container,
    joined: dict[str, str],
    found: list[Place],
    live: Live,
    starting: Starting,
    machinery: Machinery,
    store: ContainerStore,
) -> Container:
    container = msgspec.structs.replace(container, starts=container.starts + 1)
    async with Undo("start", STEPS) as undo:
        directory, rootfs = machinery.bundle(container.id), machinery.rootfs(container.id)
        await bundle.make(directory, container.identity)
        undo.step("directory", partial(bundle.remove, directory))
        await machinery.snapshots.mount(container.snapshot, rootfs, identity=container.identity)
        undo.step("mount", partial(machinery.snapshots.unmount, rootfs))
        neighbours = linked.neighbours(container, store)
        container = msgspec.structs.replace(
            container, link_variables=linked.environment(container, neighbours)
        )
        plugged = networking.Plugged.later()
        late = networking.comes_late(container)
        connect = partial(
            _connect, found=found, neighbours=neighbours, undo=undo, machinery=machinery, store=store
        )
        if not late:
            container, plugged = await connect(container)
        live.got = msgspec.structs.replace(container, mounts=[])
        shm = await shared_memory.provide(container, undo, machinery, store)
        at = files.directory_of(container, machinery, store)
        who = await asyncio.to_thread(_write_files, at, container, neighbours, machinery)
        around = _surroundings(container, plugged, who, machinery)
        joined = {**joined, "user": plugged.users} if plugged.users else joined
        around = msgspec.structs.replace(around, joined=joined, shm=shm, files=files.of_directory(at))
        undo.step("files")
        if container.mounts:
            await starting.part(mounts.make_sources(container))
        undo.step("sources", partial(sources.give_back, container.id, machinery))
        if container.mounts:
            around = msgspec.structs.replace(
                around, sources=await starting.part(sources.provide(container, machinery))
            )
        live.got = msgspec.structs.replace(live.got, mounts=container.mounts)
        spec = await _spec(container, around)
        if requests := container.host_config.device_requests:
            directories = machinery.config.cdi_spec_dirs
            await starting.part(asyncio.to_thread(device_requests.give, spec, requests, directories))
        await parent.share_realtime(container, machinery)
        await bundle.write(directory, spec)
        await apparmor.ensure(spec["process"].get("apparmorProfile"))
        undo.step("bundle")
        creating = machinery.supervisor.create(
            task_request(container, machinery, plain=build.is_plain(spec)),
            machinery.state_dir(container.id, container.starts),
        )
        task = await starting.part(creating)
        undo.step("create", task.abandon)
        if Check.of(container.config):
            await task.expect_probes()
        if late:
            container, plugged = await connect(container, pid=task.pid)
            live.got = container
            await asyncio.to_thread(files.write, at, container, neighbours, machinery)
        await asyncio.to_thread(plugged.follow, task.pid)
        await _join(live, task)
        undo.step("attach")
        # The true time is before the first instruction of the container: its output is not older than its start.
        started_at = time.time_ns()
        await starting.part(task.start())
        undo.step("start")
        running = msgspec.structs.replace(
            container,
            state=State(
                status=Status.RUNNING,
                pid=task.pid,
                started_at=started_at,
                finished_at=container.state.finished_at,  # of the run before, as Docker tells it
                health=begun(container.state.health) if Check.of(container.config) else None,
            ),
        )
        # Durable: after a power cut the restart policy must know that it ran.
        await store.save(running)
        undo.step("save")
        undo.done()
    live.task, live.got = task, None
    live.ended.clear()
    machinery.logs.begin(running, live.ended)
    await files.tell_parents(running, machinery, store)
    await linked.follow(running, machinery, store)
    await _let_in(live, task)
    return running


async def _connect(
    container: Container,
    *,
    found: list[Place],
    neighbours: list[linked.Neighbour],
    undo: Undo,
    machinery: Machinery,
    store: ContainerStore,
    pid: int | None = None,
) -> tuple[Container, networking.Plugged]:
    """Give the container its network; `pid` as in `networking.plug`."""
    plugged = await networking.plug(container, found, undo, machinery, store, pid)
    container = networking.with_places(container, plugged, networking.finder(machinery.networks))
    if neighbours:
        await machinery.network.link(container.id, linked.reached(container, neighbours))
    return container, plugged


def _surroundings(
    container: Container, plugged: networking.Plugged, who: user.User, machinery: Machinery
) -> Surroundings:
    """What the spec is made of beside the record, but for what the container joins and has bound."""
    return Surroundings(
        rootfs=str(machinery.rootfs(container.id)),
        user=who,
        network=plugged.namespace,
        own_network=plugged.own,
        joined={},
        files={},
        ulimits=machinery.config.default_ulimits,
        cgroups_path=parent.cgroups_path(container, machinery),
        init_path=INIT,
        seccomp_profile=machinery.seccomp_profile,
        cgroup_version=machinery.hierarchy.version,
        no_new_privileges=machinery.config.no_new_privileges,
    )


async def _spec(container: Container, around: Surroundings) -> dict[str, Any]:
    """The container's config.json. A thread looks at its devices: a directory of them may be a large tree."""
    if container.host_config.devices or container.host_config.privileged:
        return build.build(await asyncio.to_thread(spec_options, container, around))
    return build.build(spec_options(container, around))


def _write_files(
    directory: Path, container: Container, neighbours: list[linked.Neighbour], machinery: Machinery
) -> user.User:
    """Write the container's own files, and look its user up, in one visit of a thread."""
    files.write(directory, container, neighbours, machinery)
    rootfs = machinery.rootfs(container.id)
    return user.resolve(
        container.config.user,
        container.host_config.group_add or [],
        read_in_root(rootfs, "/etc/passwd"),
        read_in_root(rootfs, "/etc/group"),
    )


def task_request(container: Container, machinery: Machinery, *, plain: bool) -> TaskRequest:
    """What the supervisor is asked for; `plain` as in TaskRequest."""
    config, host = container.config, container.host_config
    size = host.console_size
    if container.runtime not in machinery.config.runtimes:
        raise errdefs.InvalidArgument(f"unknown or invalid runtime name: {container.runtime}")
    return TaskRequest(
        id=container.id,
        bundle=machinery.bundle(container.id),
        runtime=runtime_of(container, machinery),
        terminal=config.tty,
        open_stdin=config.open_stdin,
        stdin_once=config.stdin_once,
        log=machinery.logs.file(container),
        console_size=(size[0], size[1]) if size and len(size) == 2 else None,
        plain=plain,
        owner=container.identity.root,
    )


def runtime_of(container: Container, machinery: Machinery) -> Runtime:
    """The runtime by its name; one that is configured no more is looked for in PATH."""
    found = machinery.config.runtimes.get(container.runtime, RuntimePath(container.runtime))
    driver = ("--systemd-cgroup",) if machinery.config.cgroup_driver == "systemd" else ()
    return Runtime(name=container.runtime, path=found.path, args=(*found.args, *driver))


async def _let_in(live: Live, task: Task) -> None:
    """Clients that attached while the process was being started: they get it now."""
    try:
        await _join(live, task)
    except errdefs.WherryError:  # it has ended already
        live.let_go()


async def _join(live: Live, task: Task) -> None:
    """The clients that attached before the start get the process before its first instruction."""
    while live.parked:
        parked = live.parked.pop(0)
        request = parked.request
        try:
            stream = await task.attach(
                Attach(stdin=request.stdin, stdout=request.stdout, stderr=request.stderr)
            )
        except BaseException:
            parked.close()
            raise
        parked.join(stream)
