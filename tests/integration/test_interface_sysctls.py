"""Sysctls of a container's interface, by the ways that versions of the API have for them."""

from typing import Any

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root

OPTION = "com.docker.network.endpoint.sysctls"
IN_HOST: dict[str, Any] = {"HostConfig": {"Sysctls": {"net.ipv4.conf.eth0.log_martians": "1"}}}
IN_ENDPOINT: dict[str, Any] = {
    "NetworkingConfig": {
        "EndpointsConfig": {"bridge": {"DriverOpts": {OPTION: "net.ipv4.conf.IFNAME.log_martians=1"}}}
    }
}


@pytest.mark.parametrize(
    ("version", "asked"), [("1.45", IN_HOST), ("1.47", IN_HOST), ("1.47", IN_ENDPOINT), ("1.55", IN_ENDPOINT)]
)
def test_they_are_set(wherryd: Wherryd, version: str, asked: dict[str, Any]) -> None:
    command = ["cat", "/proc/sys/net/ipv4/conf/eth0/log_martians"]
    body = {"Image": "busybox", "Cmd": command, **asked}
    made = wherryd.call("POST", f"/v{version}/containers/create", body).json
    try:
        assert wherryd.call("POST", f"/containers/{made['Id']}/start").status == 204
        assert wherryd.call("POST", f"/containers/{made['Id']}/wait").json == {"StatusCode": 0}
        assert wherryd.docker("logs", made["Id"]).stdout == "1\n"
    finally:
        wherryd.call("DELETE", f"/containers/{made['Id']}?force=1")


def test_what_a_client_is_told(wherryd: Wherryd) -> None:
    answer = wherryd.call("POST", "/v1.48/containers/create", {"Image": "busybox", **IN_HOST})
    assert (answer.status, OPTION in answer.json["message"]) == (400, True)
    wrong = {"EndpointsConfig": {"bridge": {"DriverOpts": {OPTION: "net.ipv4.x=1"}}}}
    answer = wherryd.call("POST", "/containers/create", {"Image": "busybox", "NetworkingConfig": wrong})
    assert answer.status == 400
    assert "unrecognised network interface sysctl 'net.ipv4.x=1'" in answer.json["message"]
