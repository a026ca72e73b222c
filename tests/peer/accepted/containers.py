"""Accepted differences of containers and execs."""

from tests.peer.accepted.line import Accepted

CLIENTS_FAULT = "a client's fault is a 400"
NEWER = "as later engines say it"
EARLY = "refused when it is created, not when it is started"
OVER = "the network of a container that does not run is gone, and is told so"
OURS = "our snapshotter's name, and no paths of its own to show"

CREATE = "POST /containers/create"
INSPECT = "GET /containers/{name}/json"
LIST = "GET /containers/json"
RESIZE = "POST /*/{name}/resize"
LOGS = "GET /containers/{name}/logs"
EXEC = "POST /containers/{name}/exec"
EXEC_INSPECT = "GET /exec/{name}/json"


_CREATE = (
    Accepted(
        CREATE, "*", "no signal has that number; dockerd fails when it is to be stopped", '"StopSignal": "99"'
    ),
    Accepted(CREATE, "*", EARLY, '"Hostname": "aaa'),
    Accepted(CREATE, "*", "refused by later engines, too", '"CpuShares": -1'),
    Accepted(CREATE, "*", "a mode that is none is not taken for the default", '"UsernsMode": "bad"'),
    Accepted(CREATE, "status", CLIENTS_FAULT, '"Isolation"'),
    Accepted(CREATE, "status", CLIENTS_FAULT, '"SecurityOpt"'),
    Accepted(CREATE, "status", CLIENTS_FAULT, '"Binds"'),
    Accepted(CREATE, "status", CLIENTS_FAULT, '"IOMaximum'),
    Accepted(CREATE, "*", "it leads out of the daemon's part of the hierarchy", '"CgroupParent": "a/../b"'),
    Accepted(CREATE, "*", EARLY, '"Ulimits"'),
    Accepted(CREATE, "*", "refused by later engines, too", '"Dns": ["bad"]'),
    Accepted(CREATE, "status", CLIENTS_FAULT, '"Links"'),
    Accepted(CREATE, "status", CLIENTS_FAULT, '"StorageOpt"'),
    Accepted(CREATE, "body.message", "ext4 can do it, too", '"StorageOpt": {"size"'),
    Accepted(CREATE, "body.message", "the type exists since 1.48", '"Mounts": [{"Type": "image"'),
    Accepted(CREATE, "*", EARLY, '{"max-size": "x"'),
    Accepted(CREATE, "body.message", "our JSON reader's words", '{"Image":"busybox",}'),
    Accepted(CREATE, "body.message", "our JSON reader's words", "{'a':1}"),
    Accepted(CREATE, "body.message", NEWER, "platform=linux/arm64"),
)
_SEEN = (
    Accepted(INSPECT, "body.State.Pid", "each process has its own"),
    Accepted(INSPECT, "body.Driver", OURS),
    Accepted(INSPECT, "body.GraphDriver.Name", OURS),
    Accepted(INSPECT, "body.GraphDriver.Data!", OURS),
    Accepted(INSPECT, "body.HostConfig.MaskedPaths!", "later engines hide more"),
    Accepted(INSPECT, "body.NetworkSettings.SandboxID", OVER),
    Accepted(INSPECT, "body.NetworkSettings.SandboxKey", OVER),
    Accepted(
        INSPECT,
        "body.NetworkSettings.Networks.bridge.DNSNames!",
        "a new name is none in a network without DNS",
    ),
    Accepted(INSPECT, "body.Config.Hostname", "it shares the host's name, and is told so", "/privileged"),
    Accepted(LIST, "body.*.Networks.bridge.*", OVER),
    Accepted(LIST, "status", CLIENTS_FAULT, "publish%22%3A%20%5B%22x%22"),
    Accepted(LIST, "status", CLIENTS_FAULT, "?limit=x"),
    Accepted(LIST, "body.message", "names what is wrong", "?limit=x"),
    Accepted(
        INSPECT,
        "body.NetworkSettings.Networks.bridge.DNSNames!",
        "a rename writes the names for dockerd's DNS, which does not serve the default network",
        "/life/",
    ),
    Accepted(LIST, "body.*.Created", "a second earlier or later"),
)
_LINKS = (
    Accepted(
        INSPECT,
        "body.HostConfig.Links.0",
        "a link to a container that is gone tells what that was called when the link was made",
        "/above/",
    ),
)
_ALONE = (
    Accepted(INSPECT, "body.Config.Labels!", "no labels are an empty map, also without an image", "/alone/"),
    Accepted(LIST, "body.*.Labels!", "no labels are an empty map, also without an image", "alone"),
)
_VERBS = (
    Accepted("POST /containers/{name}/*", "status", CLIENTS_FAULT, "?t=x"),
    Accepted("POST /containers/{name}/*", "body.message", NEWER, "?t=x"),
    Accepted("POST /containers/{name}/*", "status", CLIENTS_FAULT, "?signal=NOPE"),
    Accepted("POST /containers/{name}/unpause", "status", CLIENTS_FAULT),
    Accepted(RESIZE, "body.message", NEWER),
    Accepted(RESIZE, "*", "refused by later engines, too", "h=-1&w=1"),
    Accepted(RESIZE, "*", "refused by later engines, too", "h=99999999999&w=1"),
    Accepted("DELETE /containers/{name}", "status", CLIENTS_FAULT, "link=1"),
)
_TOP = (
    Accepted("GET /containers/{name}/top", "body.Processes.*.[0-6]", "each process has its own numbers"),
    Accepted("GET /containers/{name}/top", "status", CLIENTS_FAULT, "ps_args=-o"),
    Accepted("GET /containers/{name}/top", "status", CLIENTS_FAULT, "ps_args=bad"),
)
_LOGS = tuple(
    Accepted(LOGS, where, reason, wrong)
    for wrong in ("since=bad", "until=bad", "since=1.5.5", "since=10m")
    for where, reason in (
        ("status", CLIENTS_FAULT),
        ("body.message", "as later engines say it, and before the container is looked for"),
    )
)
_EXEC = (
    Accepted(EXEC, "status", CLIENTS_FAULT, '"DetachKeys"'),
    Accepted(EXEC, "body.message", "in the words of attach", '"DetachKeys"'),
    Accepted(EXEC, "*", "a size has two numbers", '"ConsoleSize": [1]'),
    Accepted(EXEC, "*", "refused before it is to start", '"Env": ["=x"]'),
    Accepted(EXEC_INSPECT, "body.Pid", "each process has its own"),
    Accepted(
        EXEC_INSPECT, "body.ExitCode", "127 for a command that is not there, as of later engines", "nosuch"
    ),
)
_WEBSOCKET = "GET /containers/{name}/attach/ws"
_ATTACH_WS = (
    Accepted(_WEBSOCKET, "headers.*!", "its handshake and its errors have no header of its other answers"),
    Accepted(_WEBSOCKET, "headers.connection", "a token in either case"),
    Accepted(_WEBSOCKET, "body!", "an error in the form of all errors"),
)
LINES = (*_CREATE, *_SEEN, *_LINKS, *_ALONE, *_VERBS, *_TOP, *_LOGS, *_EXEC, *_ATTACH_WS)
