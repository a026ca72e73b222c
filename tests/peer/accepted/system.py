"""Accepted differences of the engine itself, of swarms and of plugins."""

from tests.peer.accepted.line import Accepted

CLIENTS_FAULT = "a client's fault is a 400"
NEWER = "as later engines say it"
OWN = "each daemon's own"
KEPT = "what is used of the disk: the blobs that images came as are kept, too"

INFO = "GET /info"
VERSION = "GET /version"
EVENTS = "GET /events"
ENABLE = "POST /plugins/{name}/enable"
DF = "GET /system/df"

_VERSION = (
    *(
        Accepted(VERSION, f"body.{field}", OWN)
        for field in ("Version", "ApiVersion", "GitCommit", "GoVersion", "BuildTime", "Platform.Name")
    ),
    Accepted(VERSION, "body.Components.*", OWN),
    Accepted(VERSION, "body.Components.*!", OWN),
    Accepted(VERSION, "headers.docker-experimental!", "told on every known route", until="1.23"),
    Accepted(VERSION, "headers.docker-experimental!", "told on every known route", since="1.999"),
    Accepted(VERSION, "body.message", "each tells the newest version that it speaks", since="1.999"),
)
_INFO = (
    *(
        Accepted(INFO, f"body.{field}", OWN)
        for field in (
            *("ID", "Driver", "NFd", "NGoroutines", "ServerVersion", "Runtimes.*.path"),
            *("ContainerdCommit.*", "RuncCommit.*", "InitCommit.*"),
        )
    ),
    *(
        Accepted(INFO, f"body.{field}!", OWN)
        for field in ("DriverStatus", "Plugins.Network", "Plugins.Log", "Warnings")
    ),
    Accepted(INFO, "body.Runtimes.*.status.*", "the features are shown as runc prints them"),
    Accepted(INFO, "body.Runtimes.*!", "the peer's are for tests"),
    Accepted(INFO, "body.CDISpecDirs!", NEWER),
    Accepted(INFO, "body.KernelMemoryTCP!", NEWER),
    Accepted(INFO, "body.BridgeNf*", "the bridge's packets do not go through netfilter, and need not"),
    Accepted(INFO, "body.RegistryConfig.AllowNondistributable*!", NEWER),
    Accepted(INFO, "body.RegistryConfig.InsecureRegistryCIDRs!", NEWER),
    Accepted(INFO, "body.LiveRestoreEnabled", "containers always outlive the daemon"),
)
_EVENTS = (
    Accepted(EVENTS, "status", CLIENTS_FAULT, "since=x"),
    Accepted(EVENTS, "body.message", "names the parameter", "since=x"),
    Accepted(EVENTS, "status", CLIENTS_FAULT, "until=1.5.5"),
    Accepted(EVENTS, "body.message", "names the parameter", "until=1.5.5"),
)
_OTHERS = (
    Accepted(DF, "body.Images.*.Created", "each side has made its own"),
    *(Accepted(DF, f"body.{field}", KEPT) for field in ("LayersSize", "Images.*.Size")),
    Accepted(DF, "body.Images.*.VirtualSize", KEPT, until="1.43"),
    Accepted("POST /auth", "status", CLIENTS_FAULT, "/auth "),
    Accepted("POST /auth", "body.message", "all bodies that are no JSON are told alike", "/auth "),
    Accepted("GET /*/{id}/logs", "status", CLIENTS_FAULT),
    Accepted(ENABLE, "status", CLIENTS_FAULT),
)

_PRUNES = (
    Accepted("POST /build/prune", "body.message", "as later engines say it", "%22unused-for%22:%5B%22%22%5D"),
)

LINES = (*_PRUNES, *_VERSION, *_INFO, *_EVENTS, *_OTHERS)
