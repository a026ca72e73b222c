"""Accepted differences of networks."""

from tests.peer.accepted.line import Accepted

CREATE = "POST /networks/create"
SHOWN = "GET /networks*"
REMOVE = "DELETE /networks/{name}"
CLIENTS_FAULT = "a client's fault is a 400"
NOT_IN_IT = "no endpoint to disconnect is a 404, and no fault of the daemon's"
HOLDER = "the network that has the subnet is named"

LINES: tuple[Accepted, ...] = (
    Accepted("POST /networks/{name}/disconnect", "status", NOT_IN_IT),
    Accepted("POST /containers/{name}/start", "status", CLIENTS_FAULT, "/cc/start"),
    Accepted(CREATE, "body.message", HOLDER, "10.95.0.0/25"),
    Accepted(CREATE, "body.message", HOLDER, '"again"'),
    Accepted(REMOVE, "body.message", "the containers in it are named, as by later engines", "/used"),
    Accepted(SHOWN, "body.*Options.com.docker.network.bridge.name", "two daemons share no bridge"),
    Accepted(
        SHOWN, "body.*IPAM.Config.*.Gateway!", "the gateway that was chosen is shown, as by later engines"
    ),
    Accepted(
        "GET /networks", "body!", "dockerd 26 asks whether a network is used before it looks", "dangling"
    ),
    Accepted("GET /networks", "status", CLIENTS_FAULT, "type"),
)
