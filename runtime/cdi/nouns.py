"""A CDI spec as its file has it (container-device-interface, SPEC.md, up to 1.1.0)."""

import msgspec


class _Noun(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A thing of a spec file; what it does not know is a mistake of the file."""


class DeviceNode(_Noun):
    """A node; what it does not say of `type`, numbers and mode is that of `host_path`, or else of `path`."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class NetDevice(_Noun):
    """An interface of the host that the container gets under another name."""

    host_interface_name: str
    name: str


class Hook(_Noun):
    """A program that the runtime runs at a point of the container's life."""

    hook_name: str
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class Mount(_Noun):
    """A mount, with the runtime's options."""

    host_path: str
    container_path: str
    options: list[str] = []
    type: str = ""


class IntelRdt(_Noun):
    """A class of Intel's resource director."""

    clos_id: str = msgspec.field(default="", name="closID")
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    schemata: list[str] | None = None
    enable_monitoring: bool = False


class Edits(_Noun):
    """What is changed in the container."""

    env: list[str] = []
    device_nodes: list[DeviceNode] = []
    net_devices: list[NetDevice] = []
    hooks: list[Hook] = []
    mounts: list[Mount] = []
    intel_rdt: IntelRdt | None = None
    additional_gids: list[int] = []


class Device(_Noun):
    """A device by its name in the spec."""

    name: str
    container_edits: Edits
    annotations: dict[str, str] = {}


class Spec(_Noun):
    """A file: devices of one kind ("vendor.com/class"), and what each container with any of them gets besides."""

    cdi_version: str
    kind: str
    devices: list[Device]
    annotations: dict[str, str] = {}
    container_edits: Edits = msgspec.field(default_factory=Edits)

    def all_edits(self) -> list[Edits]:
        """Its own and those of its devices."""
        return [self.container_edits, *(device.container_edits for device in self.devices)]
