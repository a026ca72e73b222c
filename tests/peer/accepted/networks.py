"""Accepted differences of networks."""

from tests.peer.accepted.line import Accepted

CREATE = "POST /networks/create"
SHOWN = "GET /networks*"
CLIENTS_FAULT = "a client's fault is a 400"
HOLDER = "the network that has the subnet is named"

LINES: tuple[Accepted, ...] = (
    Accepted(CREATE, "body.message", HOLDER, "10.95.0.0/25"),
    Accepted(CREATE, "body.message", HOLDER, '"again"'),
    Accepted(SHOWN, "body.*Options.com.docker.network.bridge.name", "two daemons share no bridge"),
    Accepted(
        SHOWN, "body.*IPAM.Config.*.Subnet", "the first free pool is given; dockerd goes on from the last"
    ),
    Accepted(
        SHOWN, "body.*IPAM.Config.*.Gateway!", "the gateway that was chosen is shown, as by later engines"
    ),
    Accepted("GET /networks", "status", CLIENTS_FAULT, "type"),
)
