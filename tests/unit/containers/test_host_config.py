"""What is made of a HostConfig without touching anything: defaults by the host, donors, the daemon's limits."""

import os
import subprocess
from typing import Any, cast

import pytest
from msgspec.structs import replace

import errdefs
from engine.config.loading import load
from engine.containers import donors, mounts, oci
from engine.containers.config import BindOptions, ContainerConfig, HostConfig, Mount, Ulimit
from engine.containers.container import Container, State
from engine.containers.defaults import with_defaults
from engine.containers.oci import Surroundings, spec_options
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from runtime.spec.identity import HOST, Identity, IdRange
from runtime.spec.mounts import Bind
from runtime.spec.options import SpecOptions
from runtime.spec.resources import Rlimit
from runtime.spec.user import User

DONOR = "d" * 64
SHM = Bind(source="/there/shm", destination="/dev/shm")


def container(host: HostConfig, status: Status = Status.RUNNING) -> Container:
    return Container(
        id=DONOR, name="donor", created=0, path="true", args=[], config=ContainerConfig(), host_config=host,
        networks={}, image_id="", image_name="", snapshot="", state=State(status=status, pid=os.getpid()),
    )  # fmt: skip


def store(*containers: Container) -> ContainerStore:
    """One that has these containers."""

    class Shelf:
        def get(self, reference: str) -> Container:
            for each in containers:
                if each.id == reference:
                    return each
            raise errdefs.NotFound(f"No such container: {reference}")

    return cast("ContainerStore", Shelf())


def surroundings(**around: Any) -> Surroundings:
    usual: dict[str, Any] = {
        "rootfs": "/r",
        "user": User(),
        "joined": {},
        "files": {},
        "cgroups_path": "/c",
        "init_path": "/i",
    }
    return Surroundings(**(usual | around))


def options(host: HostConfig, **around: Any) -> SpecOptions:
    return spec_options(container(host), surroundings(**around))


def joining(kind: str) -> HostConfig:
    mode = f"container:{DONOR}"
    return HostConfig(ipc_mode=mode) if kind == "ipc" else HostConfig(pid_mode=mode)


@pytest.mark.parametrize(
    ("version", "privileged", "default", "mode"),
    [
        (1, False, "private", "private"),
        (1, True, "private", "host"),
        (2, True, "private", "private"),
        (2, True, "host", "host"),
    ],
)
def test_the_cgroup_namespace(version: int, privileged: bool, default: str, mode: str) -> None:
    config = replace(load(["--config-file", ""]), cgroup_version=version, default_cgroupns_mode=default)
    assert with_defaults(HostConfig(privileged=privileged), config).cgroupns_mode == mode


@pytest.mark.parametrize(
    ("memory", "asked", "swap"),
    [(1 << 20, 0, 2 << 20), (1 << 20, -1, -1), (0, 0, 0), (1 << 62, 0, (1 << 63) - 1)],
)
def test_swap_is_as_much_again(memory: int, asked: int, swap: int) -> None:
    host = HostConfig(memory=memory, memory_swap=asked)
    assert with_defaults(host, load(["--config-file", ""])).memory_swap == swap


def test_limits_of_the_daemon_are_no_part_of_the_record() -> None:
    daemons = {name: Ulimit(name=name, soft=1, hard=2) for name in ("nofile", "core")}
    host = with_defaults(
        HostConfig(ulimits=[Ulimit(name="core", soft=5, hard=6)]),
        replace(load(["--config-file", ""]), default_ulimits=daemons),
    )
    assert [limit.name for limit in host.ulimits or ()] == ["core"]
    given = options(host, ulimits=daemons).rlimits
    assert given == (Rlimit(name="core", soft=5, hard=6), Rlimit(name="nofile", soft=1, hard=2))


@pytest.mark.parametrize(
    ("host", "shm", "bound"),
    [
        (HostConfig(ipc_mode="shareable"), "/there/shm", True),
        (HostConfig(ipc_mode="shareable", tmpfs={"/dev/shm": ""}), "/there/shm", False),
        (HostConfig(ipc_mode="private"), "", False),
    ],
)
def test_shared_memory_is_bound_unless_the_user_covers_it(host: HostConfig, shm: str, bound: bool) -> None:
    assert (SHM in options(host, shm=shm).mounts) is bound


def test_what_an_old_kernel_cannot_make_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left writable below, unless that was to be an error."""
    for module in (mounts, oci):
        monkeypatch.setattr(module, "has_recursive_read_only", lambda: False)
    asked = BindOptions(read_only_force_recursive=True)
    bind = Mount(type="bind", source="/usr", target="/b", read_only=True, bind_options=asked)
    with pytest.raises(errdefs.InvalidArgument, match="rro is not supported"):
        mounts.resolve(ContainerConfig(), HostConfig(mounts=[bind]))
    bind.bind_options = None
    resolved = mounts.resolve(ContainerConfig(), HostConfig(mounts=[bind]))
    made = replace(container(HostConfig()), mounts=resolved)
    (found,) = spec_options(made, surroundings()).mounts
    assert isinstance(found, Bind)
    assert (found.read_only, found.recursive_read_only) == (True, False)


@pytest.mark.parametrize("kind", ["ipc", "pid"])
def test_donors_that_run(kind: str) -> None:
    host = joining(kind)
    for status in (Status.RUNNING, Status.PAUSED):
        donor = container(HostConfig(ipc_mode="shareable"), status)
        with donors.joining(container(host), store(donor)) as joined:
            assert os.readlink(joined[kind]) == os.readlink(f"/proc/self/ns/{kind}")
    assert not os.path.exists(joined[kind])


@pytest.mark.parametrize("kind", ["ipc", "pid"])
@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (Status.EXITED, errdefs.Conflict, f"container {DONOR} is not running"),
        (
            Status.RESTARTING,
            errdefs.Conflict,
            f"Container {DONOR} is restarting, wait until the container is running",
        ),
        (None, errdefs.InvalidArgument, f"No such container: {DONOR}"),
    ],
)
def test_donors_that_do_not(kind: str, status: Status | None, error: type[Exception], text: str) -> None:
    host = joining(kind)
    there = [container(HostConfig(ipc_mode="shareable"), status)] if status else []
    match = f"failed to join {kind.upper()} namespace: {text}"
    with pytest.raises(error, match=match), donors.joining(container(host), store(*there)):
        pass


@pytest.mark.parametrize("mode", ["private", "none"])
def test_an_ipc_namespace_that_is_not_shared(mode: str) -> None:
    donor = store(container(HostConfig(ipc_mode=mode)))
    with (
        pytest.raises(errdefs.InvalidArgument, match="non-shareable IPC"),
        donors.joining(container(joining("ipc")), donor),
    ):
        pass


def test_what_belongs_to_another_user_namespace() -> None:
    """A container of the host's may join it; one with its own joins only the same."""
    mapped = Identity(uids=(IdRange(0, 100000, 65536),), gids=(IdRange(0, 100000, 65536),))
    donor = container(HostConfig(ipc_mode="shareable"))
    joiner = replace(container(joining("ipc")), identity=mapped)
    with (
        pytest.raises(errdefs.InvalidArgument, match="has not the same user namespace"),
        donors.joining(joiner, store(donor)),
    ):
        pass
    donor = replace(donor, identity=mapped)
    with donors.joining(joiner, store(donor)) as joined:
        assert os.readlink(joined["user"]) == os.readlink("/proc/self/ns/user")
    with donors.joining(replace(joiner, identity=HOST), store(donor)) as joined:
        assert set(joined) == {"ipc"}


def end(process: "subprocess.Popen[bytes]") -> None:
    """The process ends, and so fails what wanted to join it."""
    process.kill()
    process.wait()
    raise errdefs.SystemFailure("runc create failed")


def test_a_donor_that_ends_meanwhile() -> None:
    """It is told of as one that does not run, whatever the runtime makes of it."""
    process = subprocess.Popen(["sleep", "1000"])
    donor = replace(container(HostConfig()), state=State(status=Status.RUNNING, pid=process.pid))
    text = f"failed to join PID namespace: container {DONOR} is not running"
    with pytest.raises(errdefs.Conflict, match=text), donors.joining(container(joining("pid")), store(donor)):
        end(process)
    with pytest.raises(errdefs.Conflict, match=text), donors.joining(container(joining("pid")), store(donor)):
        pass
