"""Accepted differences of HostConfig's fields: at the creation, as inspected, at the start, and in the kernel.

The requests of `test_host_config.py` call the container /hc, those of the matrix /matrix, and name what it asks for.
"""

from tests.peer.accepted.line import Accepted

CLIENTS_FAULT = "a client's fault is a 400"
EARLY = "refused when it is created, not when it is started"
NEWER = "as later engines say it"

_CREATE = "POST /containers/create"
_START = "POST /containers/{name}/start"
_SEEN = "GET /containers/{name}/json"

LINES = (
    *(
        Accepted(_CREATE, "*", EARLY, request)
        for request in (
            '"Dns": ["1.1.1.1;x"]',
            '"Config": {"max-file": "0"',
            '"Config": {"max-size": "-1"',
            '"Config": {"tag": "{{.Nope"',
            '"ReadOnly": false, "BindOptions": {"ReadOnlyNonRecursive": true}',
            '{"ReadOnlyForceRecursive": true, "ReadOnlyNonRecursive": true}',
            '"CgroupParent": "/a/a/a',
        )
    ),
    Accepted(
        _SEEN, "body.HostConfig.MemorySwap", "twice the memory is at most what can be said", '"Memory": 46116'
    ),
    Accepted(_SEEN, "body.Config.Hostname", "it shares the host's name, and is told so", '"UTSMode": "host"'),
    Accepted(_SEEN, "body.HostConfig.PortBindings.80/tcp!", NEWER, '"PortBindings": {"80/tcp": []}'),
    Accepted(
        _SEEN, "body.Config.Volumes!", "no volumes are null, also without an image", '/matrix {"Image": null}'
    ),
    Accepted(
        _SEEN,
        "body.Config.Labels!",
        "no labels are an empty map, also without an image",
        '/matrix {"Image": null}',
    ),
    Accepted(
        _SEEN, "body.Mounts.0.Destination", "it is told where it is mounted", '{"Volumes": {"relative": {}}}'
    ),
    Accepted(_CREATE, "status", CLIENTS_FAULT, '"CpuRealtimeRuntime": 2000'),
    Accepted(_START, "status", CLIENTS_FAULT, '"GroupAdd"'),
    Accepted(_START, "body.message", NEWER, '"GroupAdd": ["a:b"]'),
    Accepted(_START, "status", CLIENTS_FAULT, '"Devices"'),
    Accepted(
        _START, "*", "access to a device that is not said is all of it", '[{"PathOnHost": "/dev/null"}]'
    ),
    Accepted(_START, "status", CLIENTS_FAULT, '"BlkioDeviceReadBps"'),
    Accepted(_START, "status", CLIENTS_FAULT, '"Propagation"'),
    Accepted(_START, "status", CLIENTS_FAULT, '"PidMode": "container:'),
)
