"""Records as tests need them: a container that never ran, one that runs, an image of one layer."""

from __future__ import annotations

from typing import Any

from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig
from engine.containers.container import Container, State
from engine.containers.state import Status
from engine.images.config import ImageConfig, RootFS
from engine.images.image import Image, Layer
from engine.images.layouts import Descriptor
from engine.images.platforms import Platform
from network.endpoint import Endpoint
from network.ports import PortBinding
from volumes.mount_point import MountPoint

ID = "c0ffee" + "0" * 58
OTHER = "decaf" + "0" * 59
IMAGE_ID = "sha256:" + "ab" * 32
NETWORK_ID = "ne" * 32
SECOND = 1_000_000_000
CREATED = 1_700_000_000 * SECOND


def container(**changes: Any) -> Container:
    """A container that was created and never ran."""
    fields: dict[str, Any] = {
        "id": ID,
        "name": "box",
        "created": CREATED + 123456789,
        "path": "sh",
        "args": ["-c", "echo hi"],
        "config": ContainerConfig(hostname=ID[:12], image="bb:1", cmd=["sh", "-c", "echo hi"]),
        "host_config": HostConfig(network_mode="bridge"),
        "networks": {"bridge": EndpointConfig()},
        "image_id": IMAGE_ID,
        "image_name": "bb:1",
        "image_manifest": Descriptor(
            media_type="application/vnd.oci.image.manifest.v1+json",
            digest="sha256:" + "99" * 32,
            size=300,
            platform=Platform(os="linux", architecture="amd64"),
        ),
        "snapshot": ID,
        "log_path": "/data/containers/x/x-json.log",
    }
    return Container(**(fields | changes))


def running(**changes: Any) -> Container:
    """A container that runs, with an address, ports and a mount."""
    endpoint = Endpoint(
        id="ee" * 32,
        name="box",
        container_id=ID,
        sandbox_id="5a" * 32,
        network_id=NETWORK_ID,
        network="bridge",
        ipv4="172.17.0.2",
        prefix_len=16,
        gateway="172.17.0.1",
        mac="02:42:ac:11:00:02",
    )
    fields: dict[str, Any] = {
        "config": ContainerConfig(
            hostname=ID[:12], image="bb:1", exposed_ports={"80/tcp": {}, "9000/tcp": {}}, labels={"a": "b"}
        ),
        "state": State(status=Status.RUNNING, pid=4711, started_at=CREATED + SECOND),
        "starts": 1,
        "endpoints": {"bridge": endpoint},
        "ports": [
            PortBinding(proto="tcp", container_port=80, host_ip="0.0.0.0", host_port=8080),
            PortBinding(proto="tcp", container_port=80, host_ip="::", host_port=8080),
        ],
        "sandbox_id": "5a" * 32,
        "mounts": [MountPoint(type="bind", source="/tmp", destination="/mnt", mode="ro", rw=False)],
    }
    return container(**(fields | changes))


def image(**changes: Any) -> Image:
    """An image of one layer."""
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        created="2026-11-24T08:29:11.099755539Z",
        comment="Imported from -",
        config=ContainerConfig(env=["PATH=/bin"], cmd=["sh"]),
        rootfs=RootFS(diff_ids=["sha256:" + "cd" * 32]),
    )
    layer = Layer(
        diff_id="sha256:" + "cd" * 32,
        chain_id="sha256:" + "cd" * 32,
        size=2024544,
        blob="sha256:" + "ef" * 32,
        blob_size=1000,
        media_type="application/vnd.oci.image.layer.v1.tar",
    )
    fields: dict[str, Any] = {
        "id": IMAGE_ID,
        "config": config,
        "layers": [layer],
        "manifest": "sha256:" + "99" * 32,
        "manifest_type": "application/vnd.oci.image.manifest.v1+json",
        "manifest_size": 300,
        "config_size": 700,
        "made": CREATED,
        "last_tagged": CREATED,
        "references": ["bb:1"],
    }
    return Image(**(fields | changes))
