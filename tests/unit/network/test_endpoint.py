"""What an endpoint tells of itself."""

import pytest

from network.endpoint import Endpoint, mac_of


@pytest.mark.parametrize(
    ("address", "mac"), [("172.17.0.2", "02:42:ac:11:00:02"), ("fd00::a:b:c", "02:42:00:0b:00:0c")]
)
def test_the_mac_is_made_of_the_address(address: str, mac: str) -> None:
    assert mac_of(address) == mac


@pytest.mark.parametrize(
    ("values", "leads"),
    [
        ({"gateway": "10.0.0.1"}, (True, False)),
        ({"ipv6_gateway": "fd00::1"}, (False, True)),
        ({"ipv4": "10.0.0.2", "ipv6": "fd00::2"}, (False, False)),
        ({"ipv4": "10.0.0.2", "on_link": True}, (True, False)),
        ({"ipv4": "10.0.0.2", "ipv6": "fd00::2", "on_link": True}, (True, True)),
    ],
)
def test_by_what_it_leads_out(values: dict[str, str], leads: tuple[bool, bool]) -> None:
    ids = dict.fromkeys(("id", "name", "container_id", "sandbox_id", "network_id", "network"), "x")
    endpoint = Endpoint(**ids, **values)  # type: ignore[arg-type]
    assert (endpoint.leads_out4, endpoint.leads_out6) == leads
