"""The engine turns a create request into the spec that dockerd makes of it."""

import os
from typing import Any

import msgspec
import pytest

from engine.config.loading import load
from engine.containers import mounts
from engine.containers.config import ContainerConfig, HostConfig
from engine.containers.container import Container
from engine.containers.defaults import with_defaults
from engine.containers.oci import Surroundings, spec_options
from runtime.spec import build, user
from runtime.spec.namespaces import HOST, NEW
from tests.peer.spec.conftest import Captured, Capturing
from tests.peer.spec.test_build import (
    CASES,
    GROUP,
    OWN_FILES,
    PASSWD,
    Case,
    differences,
    expected_of,
    normalized,
)

pytestmark = pytest.mark.root


PROFILE = '{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64"}],"syscalls":[]}'
MORE = {
    "init": Case(host={"Init": True}),
    "no init among the host's processes": Case(host={"Init": True, "PidMode": "host"}),
    "privileged with a device elsewhere": Case(
        host={
            "Privileged": True,
            "Devices": [
                {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/mine", "CgroupPermissions": "rwm"}
            ],
        }
    ),
    "privileged with a profile": Case(host={"Privileged": True, "SecurityOpt": [f"seccomp={PROFILE}"]}),
    "builtin profile": Case(host={"SecurityOpt": ["seccomp=builtin", "no-new-privileges=false"]}),
    "mounts of each kind": Case(
        host={
            "Mounts": [
                {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1770}},
                {"Type": "tmpfs", "Target": "/plain"},
                {
                    "Type": "bind", "Source": "/usr", "Target": "/ro", "ReadOnly": True,
                    "BindOptions": {"ReadOnlyNonRecursive": True, "Propagation": "private"},
                },
            ]
        }
    ),
    "the user's own files": Case(host={"Binds": ["/etc/fstab:/etc/hosts:ro"]}),
    "shareable": Case(host={"IpcMode": "shareable", "ReadonlyRootfs": True}),
    "host's, covered": Case(host={"IpcMode": "host", "Binds": ["/usr:/dev/shm"]}),
    "command": Case(config={"Entrypoint": ["/bin/echo", "a"], "Cmd": ["b"]}),
}  # fmt: skip


def ours_of(captured: Captured, case: Case) -> dict[str, Any]:
    config = msgspec.convert({"Cmd": ["true"], **case.config}, ContainerConfig)
    host = with_defaults(msgspec.convert({"NetworkMode": "none", **case.host}, HostConfig), load([]))
    sources = {entry["destination"]: entry["source"] for entry in captured.spec["mounts"]}
    command = [word for word in captured.spec["process"]["args"] if word not in (build.INIT, "--")]
    hostname = os.uname().nodename if "host" in (host.uts_mode, host.network_mode) else captured.id[:12]
    container = Container(
        id=captured.id,
        name="x",
        created=0,
        path=command[0],
        args=command[1:],
        config=config if config.hostname else msgspec.structs.replace(config, hostname=hostname),
        host_config=host,
        networks={},
        image_id="",
        image_name="",
        snapshot="",
        log_path="",
        runtime="runc",
        mounts=mounts.resolve(config, host),
    )
    shared = host.network_mode == "host"
    around = Surroundings(
        rootfs=captured.spec["root"]["path"],
        user=user.resolve(config.user, host.group_add or [], PASSWD, GROUP),
        network=HOST if shared else NEW,
        own_network=not shared,
        joined={},
        files={path: sources[path] for path in OWN_FILES},
        shm=sources["/dev/shm"] if host.ipc_mode in ("host", "shareable") else "",
        cgroups_path=f"{host.cgroup_parent or '/docker'}/{captured.id}",
        init_path=sources.get(build.INIT, "/usr/bin/tini-static"),
    )
    return normalized(build.build(spec_options(container, around)))


@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_config_json(capturing: Capturing, name: str) -> None:
    case = (CASES | MORE)[name]
    captured = capturing.capture({"Cmd": ["true"], **case.config}, case.host)
    ours, theirs = ours_of(captured, case), expected_of(captured)
    for spec in (ours, theirs):
        spec["mounts"] = {entry["destination"]: entry for entry in spec["mounts"]}
    assert differences(ours, theirs) == {}
