"""Where the definition of the API is wrong about what Docker answers. Each line is needed, or a test fails."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exception_:
    """Patterns (as of file names) of an operation, of the place in its body, and of the problem; and why."""

    operation: str
    where: str
    what: str
    reason: str


def _null(operation: str, where: str, fields: str, reason: str) -> list[Exception_]:
    return [Exception_(operation, f"{where}.{field}", "null", reason) for field in fields.split()]


_NIL = (
    "a nil slice, map or pointer of Go's without omitempty is null, as a real dockerd shows; it is not said"
)
_LEGACY = "moby's system_routes.go still answers both forms unless `verbose` is asked, for clients such as docker-py"

EXCEPTIONS: list[Exception_] = [
    *_null("GET /containers/json", ".*.NetworkSettings.Networks.*", "Aliases DNSNames Links", _NIL),
    *_null("GET /containers/{}/json", ".NetworkSettings.Networks.*", "Aliases DNSNames Links", _NIL),
    *_null("GET /containers/{}/json", ".Config", "Cmd Entrypoint Env Volumes", _NIL),
    *_null("GET /containers/{}/json", ".HostConfig.DeviceRequests.*", "Capabilities DeviceIDs Options", _NIL),
    *_null(
        "GET /containers/{}/json",
        ".HostConfig",
        "Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps BlkioWeightDevice "
        "CapAdd CapDrop DeviceCgroupRules DeviceRequests Devices Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links "
        "MaskedPaths MemorySwappiness PortBindings ReadonlyPaths SecurityOpt Ulimits VolumesFrom",
        _NIL,
    ),
    *_null("GET /info", "", "GenericResources", _NIL),
    *_null("GET /info", ".Plugins", "Authorization", _NIL),
    *_null("GET /info", ".RegistryConfig", "Mirrors", _NIL),
    *_null("GET /networks", ".*.IPAM", "Config Options", _NIL),
    *_null("GET /networks/{}", ".IPAM", "Config Options", _NIL),
    *_null(
        "GET /system/df", ".ContainerUsage.Items.*.NetworkSettings.Networks.*", "Aliases DNSNames Links", _NIL
    ),
    *_null("GET /system/df", ".VolumeUsage.Items.*", "Labels Options", _NIL),
    *_null("GET /volumes", "", "Warnings", _NIL),
    *_null("GET /volumes", ".Volumes.*", "Labels Options", _NIL),
    *_null("GET /volumes/{}", "", "Labels Options", _NIL),
    *_null("POST /volumes/create", "", "Labels Options", _NIL),
    *_null("GET /exec/{}/json", "", "ExitCode", _NIL),
    Exception_("GET /containers/{}/changes", "", "null", _NIL),
    *_null("GET /containers/{}/stats", ".blkio_stats", "io_service_bytes_recursive", _NIL),
    *_null("POST /containers/{}/update", "", "Warnings", _NIL),
    *_null("POST /containers/prune", "", "ContainersDeleted", _NIL),
    *_null("GET /distribution/{}/json", "", "Platforms", _NIL),
    *_null("GET /images/{}/history", ".*", "Tags", _NIL),
    *_null("POST /images/prune", "", "ImagesDeleted", _NIL),
    *_null("POST /networks/prune", "", "NetworksDeleted", _NIL),
    *_null("POST /build/prune", "", "CachesDeleted", _NIL),
    *[
        Exception_(
            operation,
            ".error",
            "unknown field",
            "API history 1.48: deprecated, and still returned beside errorDetail; docker-py looks at it",
        )
        for operation in ("POST /images/*", "POST /build")
    ],
    *[
        Exception_(
            f"POST /images/{verb}",
            ".progress",
            "unknown field",
            "API history 1.48: deprecated, and still returned beside progressDetail",
        )
        for verb in ("create", "{}/push")
    ],
    Exception_(
        "POST /images/{}/push",
        ".id",
        "unknown field",
        "names the layer: PushImageInfo leaves out what CreateImageInfo has, and clients draw their lines by",
    ),
    Exception_(
        "POST /images/{}/push",
        ".aux",
        "unknown field",
        "moby's types.PushResult (Tag, Digest, Size) at the end, which the definition leaves out",
    ),
    *[
        Exception_(
            "GET /images/{}/json",
            f".{field}",
            "unknown field",
            "API history 1.51: deprecated, and returned where it is set; moby's image_routes.go adds it",
        )
        for field in ("DockerVersion", "Parent")
    ],
    Exception_(
        "GET /images/*json",
        "*.ImageData.UnpackedSize",
        "missing",
        "required, but no property: what is meant is Size.Unpacked, which is required as well (ImageManifestSummary)",
    ),
    *[
        Exception_("GET /system/df", f".{field}", "unknown field", _LEGACY)
        for field in ("LayersSize", "Images", "Containers", "Volumes", "BuildCache")
    ],
    Exception_(
        "GET /system/df",
        ".EngineUsage",
        "unknown field",
        "ours: what lies on the disk and is of none of Docker's kinds, such as the database",
    ),
]
