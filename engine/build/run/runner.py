"""Runs the command of a RUN step in its root, as a container that nobody else sees, and makes a layer of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import errdefs
from engine import faults, ids
from engine.build.progress import STDERR
from engine.build.refs import Layer, Ref
from engine.build.run import failure, mounts, spec, stubs, texts
from engine.build.run.binds import Shift
from engine.build.run.caches import CacheMounts
from engine.build.run.client import Client
from engine.build.run.failure import StepFailed
from engine.build.run.mounts import Given, Inputs, Tools
from engine.build.run.network import Plugged, StepNetworks
from engine.build.run.output import Output, follow
from engine.build.run.spec import Prepared
from engine.build.steps import Run
from engine.build.workspace import Holds, Workspace, Workspaces
from engine.containers import bundle
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from runtime import apparmor, cgroups
from runtime.paths import make_mountpoint, open_in_root, read_in_root
from runtime.settled import settled, whole
from runtime.spec import build
from runtime.spec.namespaces import NEW
from runtime.spec.user import User, resolve
from runtime.task import Task
from runtime.task_values import Attach, Exit, Runtime, TaskRequest

STEPS = ("mounts", "network", "bundle", "created", "started", "ended")  # where crash tests kill a step
_RUNC = "runc"
_NOT_RUN = 1  # what runc exits with when it cannot start a command
_OWN_FILES = ("/etc/resolv.conf", "/etc/hosts")


class Runner:
    """Runs steps, any number at once."""

    def __init__(
        self,
        machinery: Machinery,
        workspaces: Workspaces,
        caches: CacheMounts,
        containers: ContainerStore,
    ) -> None:
        """`containers` has those whose network a step may share."""
        self._machinery = machinery
        self._workspaces = workspaces
        self._networks = StepNetworks(machinery, containers)
        shift = Shift(identity=machinery.identity, disk=machinery.config.data_root)
        self._tools = Tools(workspaces=workspaces, caches=caches, shift=shift)

    async def run(
        self,
        step: Run,
        root: Ref,
        mounted: Sequence[Path | None],
        out: Output,
        session: Client | None,
        holds: Holds,
        names: Sequence[str] = (),
    ) -> Layer | None:
        """Run a step on `root`, whose layers are held; the layer of its changes, held, or None for no change.

        `mounted` are the host's paths of the step's inputs, as far as it mounts them, and `names` what names their
        content, for caches that begin with it. `out` is told the output as it comes. Cancelled, it ends the
        process at once. StepFailed when the command does not succeed; NotFound and InvalidArgument for what it needs
        and cannot have.
        """
        self._machinery.supervisor.expect()
        step_id = ids.new_id()
        inputs = Inputs(paths=mounted, names=names)
        directory = self._machinery.config.exec_root / "build" / step_id
        writable = self._workspaces.writable(root, holds, self._machinery.identity)
        async with writable as workspace, AsyncExitStack() as undo:
            async with mounts.provided(step, inputs, session, directory, self._tools) as given:
                faults.hit("run.mounts")
                targets = [*_OWN_FILES, *(each.destination for each in given.mounts)]
                missing = await settled(stubs.missing, workspace.root, targets)
                ended = await self._process(step_id, step, workspace, given, out, undo)
            if ended.code != 0:
                raise _failed(step, ended)
            async with _meanwhile(undo.pop_all().aclose()):
                return await workspace.commit(partial(stubs.clean, workspace.upper, workspace.below, missing))

    async def _process(
        self,
        step_id: str,
        step: Run,
        workspace: Workspace,
        given: Given,
        out: Output,
        undo: AsyncExitStack,
    ) -> Exit:
        """The command from its beginning to its end; errors before it began are told as errors of the process.

        `undo` gives back what it needs no more afterwards.
        """
        try:
            async with AsyncExitStack() as life:
                task = await self._create(step_id, step, workspace, given, undo, life)
                stream = await task.attach(Attach())
                life.callback(stream.close)
                await task.start()
                faults.hit("run.started")
                await follow(stream, out)
                ended = await task.wait()
                await task.gone()
                faults.hit("run.ended")
                return ended
        except (errdefs.InvalidArgument, errdefs.SystemFailure) as error:
            if not (said := failure.of_runtime(error)):
                raise failure.not_started(step.args, error) from error
            await out(STDERR, f"{said}\n".encode(errors="surrogateescape"))
            raise StepFailed(step.args, _NOT_RUN) from error

    async def _create(
        self,
        step_id: str,
        step: Run,
        workspace: Workspace,
        given: Given,
        undo: AsyncExitStack,
        life: AsyncExitStack,
    ) -> Task:
        """The command before its first instruction. `life` ends it, `undo` then what it was given."""
        machinery, place = self._machinery, self._machinery.bundle(step_id)
        late = self._networks.comes_late(step.network)
        undo.push_async_callback(lambda: whole(bundle.remove(place)))
        await whole(bundle.make(place, machinery.identity))
        plugged = Plugged(NEW, own=True)
        if not late:
            plugged = await undo.enter_async_context(self._networks.plug(step_id, step.network))
        faults.hit("run.network")
        user = await settled(self._prepare, step, workspace.root, place)
        parent = step.limits.cgroup_parent or machinery.config.cgroup_parent
        around = Prepared(
            rootfs=str(workspace.root),
            cgroups_path=cgroups.path_for(step_id, parent, machinery.config.cgroup_driver),
            cgroup_version=machinery.hierarchy.version,
            user=user,
            identity=machinery.identity,
            network=plugged.namespace,
            own_network=plugged.own,
            files=str(place),
            mounts=given.mounts,
            variables=given.variables,
            seccomp_profile=machinery.seccomp_profile,
        )
        config = build.build(spec.options(step, around))
        await whole(bundle.write(place, config))
        await apparmor.ensure(config["process"].get("apparmorProfile"))
        faults.hit("run.bundle")
        request = TaskRequest(
            id=step_id,
            bundle=place,
            runtime=self._runtime(),
            plain=build.is_plain(config),
            owner=machinery.identity.root,
        )
        task = await machinery.supervisor.create(request, place / "1")
        life.push_async_callback(task.abandon)
        faults.hit("run.created")
        if late:
            await undo.enter_async_context(self._networks.plug(step_id, step.network, task.pid))
        return task

    def _prepare(self, step: Run, root: Path, place: Path) -> User:
        """Write the step's own files, and find its user; its working directory is there then. Blocks."""
        hostname = step.hostname or texts.HOSTNAME
        _write(place / "hosts", texts.hosts(hostname, step.extra_hosts, self._networks.gateways))
        _write(place / "resolv.conf", texts.resolv_conf(self._networks.resolv_conf(step.network)))
        user = resolve(step.user, [], read_in_root(root, "/etc/passwd"), read_in_root(root, "/etc/group"))
        if not self._machinery.identity.remapped:  # else the runtime does it, who is root there
            _make_directory(root, step.cwd, user)
        return user

    def _runtime(self) -> Runtime:
        config = self._machinery.config
        driver = ("--systemd-cgroup",) if config.cgroup_driver == "systemd" else ()
        found = config.runtimes[_RUNC]
        return Runtime(name=_RUNC, path=found.path, args=(*found.args, *driver))


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something beside the block, and have it done at the end; its failure is the block's."""
    doing = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        await whole(_done(doing))
    doing.result()


async def _done(doing: asyncio.Task[None]) -> None:
    await asyncio.wait([doing])
    doing.exception()  # asked for: if the block has failed as well, that is what is told


def _write(path: Path, content: bytes) -> None:
    """A file that everybody in the step may read."""
    try:
        path.write_bytes(content)
        path.chmod(0o644)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot write {path}: {error.strerror}") from error


def _make_directory(root: Path, path: str, user: User) -> None:
    """The working directory, if it is not there: the user's."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.close(open_in_root(top, path or "/", os.O_PATH))
            return
        make_mountpoint(top, path, directory=True)
        made = open_in_root(top, path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fchown(made, user.uid, user.gid)
        finally:
            os.close(made)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot make the working directory {path}: {error.strerror}") from error
    finally:
        os.close(top)


def _failed(step: Run, ended: Exit) -> StepFailed:
    if ended.oom:
        return StepFailed.for_want_of_memory(step.args, ended.code)
    return StepFailed(step.args, ended.code, cause=ended.reason)
