"""What plugins of networks and addresses are asked, in which order, and what is said of their failures, as by dockerd.

EndpointOperInfo counts once for what came of a command: dockerd asks twice, and can use nothing that a plugin says.
"""

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.peer.peer import Peer
from tests.peer.plugged import Side, plugins_of_both, same

pytestmark = pytest.mark.root

NET, IPAM = (f"{kind}{secrets.token_hex(3)}" for kind in ("net", "ipam"))
_ID = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b")
_MACS = re.compile(r"\b02:(?:42|77)(?::[0-9a-f]{2}){4}\b")
_NEWER = re.compile(r" \(name:\"plugged\" id:\"[0-9a-f]+\"\)")  # which endpoints hold a network
_KEY = re.compile(r'"/[^"]*/netns/[^"]*"')


class Networked(Side):
    """Of networks and addresses."""

    def does(self, *args: str) -> list[str]:
        """What came of a command, and the calls that it made."""
        done = self.daemon.docker(*args, check=False)
        out = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
        calls = [each for each in self.plugin.calls() if self._counts(each)]
        shown = [
            f"{each['plugin']} {each['method']} {json.dumps(each['body'], sort_keys=True)}" for each in calls
        ]
        told = [line for at, line in enumerate(shown) if "OperInfo" not in line or line not in shown[:at]]
        return [self._masked(line) for line in (f"exit {done.returncode}", out, *told)]

    def _counts(self, call: dict[str, Any]) -> bool:
        """Not those of other daemons of this machine: each looks at all plugins in that folder now and then."""
        return isinstance(self.daemon, Peer) or call["caller"] == self.daemon.pid

    def _masked(self, text: str) -> str:
        text = _NEWER.sub("", text)
        text = _KEY.sub('"<key>"', _MACS.sub("<mac>", text))
        return self.numbered(text, _ID)


@pytest.fixture(scope="module")
def sides(
    peer_wherryd: Wherryd, peer: Peer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    """Plugins of the same names."""
    with plugins_of_both(peer, tmp_path_factory.mktemp("plugins"), (NET, IPAM)) as (ours, theirs):
        yield Networked(peer_wherryd, ours), Networked(peer, theirs)


@pytest.fixture(autouse=True)
def clean(sides: tuple[Side, Side]) -> Iterator[None]:
    yield
    for side in sides:
        side.plugin.fails()
        side.plugin.answers()
        side.does("rm", "-f", "plugged")
        side.does("network", "rm", *(f"n{number}" for number in range(1, 7)))
        side.forget()


CREATE = ("network", "create", "-d", NET, "--ipam-driver", IPAM)
RUN = ("run", "--rm", "--name", "plugged")
BOTH = (
    *("--ipv6", "--subnet", "10.8.0.0/24", "--gateway", "10.8.0.9", "--aux-address", "q=10.8.0.5"),
    *("--subnet", "fd00:8::/64"),
)
DEFAULT = (
    *("--subnet", "10.9.0.0/24", "--gateway", "10.9.0.9", "--aux-address", "q=10.9.0.5"),
    *("--ip-range", "10.9.0.128/25", "--internal"),
)
LIVES = (
    (
        (*CREATE, "--ipam-opt", "a=b", "-o", "x=y", "n1"),
        (*("run", "-d", "--name", "plugged", "--network", "n1", "-p", "18080:80"), "busybox", "sleep", "100"),
        ("network", "create", "--subnet", "10.14.0.0/24", "n2"),
        ("network", "connect", "n2", "plugged"),
        ("network", "rm", "n1"),
        ("network", "disconnect", "n1", "plugged"),
        ("network", "disconnect", "n2", "plugged"),
        ("network", "connect", "--driver-opt", "foo=bar", "n1", "plugged"),
        ("restart", "-t0", "plugged"),
        ("stop", "-t0", "plugged"),
        ("rm", "plugged"),
        ("network", "rm", "n1"),
        ("network", "rm", "n1"),
    ),
    (
        (*CREATE, *BOTH, "n3"),
        (*RUN, "--network", "n3", "--ip", "10.8.0.77", "--ip6", "fd00:8::77", "busybox", "true"),
        (*RUN, "--network", "n3", "--ip", "10.8.0.9", "busybox", "true"),
        (*RUN, "--network", "n3", "busybox", "true"),
        ("network", "rm", "n3"),
    ),
    (
        ("network", "create", "-d", NET, *DEFAULT, "n4"),
        (
            *RUN,
            "--network",
            "n4",
            "--mac-address",
            "02:42:aa:bb:cc:dd",
            "--ip",
            "10.9.0.200",
            "busybox",
            "true",
        ),
        (*RUN, "--network", "n4", "busybox", "true"),
        ("network", "rm", "n4"),
    ),
    (
        ("network", "create", "-d", NET, "--ipam-driver", "null", "n5"),
        ("network", "rm", "n5"),
        ("network", "create", "--ipam-driver", IPAM, "n6"),
        (*RUN, "--network", "n6", "--mac-address", "02:42:aa:bb:cc:dd", "busybox", "true"),
        ("network", "rm", "n6"),
        ("network", "create", "-d", NET, "--ingress", "n6"),
    ),
)


@pytest.mark.parametrize("life", LIVES, ids=("ports", "both families", "default ipam", "other ipam"))
def test_lives_of_networks(sides: tuple[Side, Side], life: tuple[tuple[str, ...], ...]) -> None:
    for command in life:
        same(sides, *command)


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("NetworkDriver.CreateNetwork", {"body": '{"Err": "no room"}'}),
        ("NetworkDriver.CreateNetwork", {"status": 500, "body": '{"Err": "no room"}'}),
        ("NetworkDriver.CreateNetwork", {"status": 404, "body": "plain"}),
        ("NetworkDriver.CreateNetwork", {"body": "null"}),
        ("IpamDriver.GetDefaultAddressSpaces", {"body": '{"Error": "x"}'}),
        ("IpamDriver.RequestPool", {"body": '{"Error": "x"}'}),
        ("IpamDriver.RequestPool", {"body": '{"PoolID": "p", "Pool": "bad"}'}),
        ("IpamDriver.RequestAddress", {"body": '{"Error": "x"}'}),
        ("IpamDriver.RequestAddress", {"body": "{}"}),
        ("IpamDriver.RequestAddress", {"body": '{"Address": "1.2.3"}'}),
        ("IpamDriver.RequestAddress", {"status": 500, "body": '{"Error": "x"}'}),
    ],
)
def test_networks_that_cannot_be_made(sides: tuple[Side, Side], method: str, fault: dict[str, Any]) -> None:
    for side in sides:
        side.plugin.fails(**{method: fault})
    same(sides, *CREATE, "n1")


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("IpamDriver.RequestAddress", {"body": '{"Error": "full"}'}),
        ("NetworkDriver.CreateEndpoint", {"body": '{"Err": "no room"}'}),
        ("NetworkDriver.CreateEndpoint", {"body": '{"Interface": {"Address": "10.1.1.1/24"}}'}),
        ("NetworkDriver.Join", {"body": '{"Err": "no room"}'}),
        ("NetworkDriver.ProgramExternalConnectivity", {"body": '{"Err": "no ext"}'}),
        ("NetworkDriver.ProgramExternalConnectivity", {"status": 404, "body": "not found"}),
        ("NetworkDriver.RevokeExternalConnectivity", {"body": '{"Err": "stay"}'}),
        ("NetworkDriver.Leave", {"body": '{"Err": "stay"}'}),
        ("NetworkDriver.DeleteEndpoint", {"body": '{"Err": "stay"}'}),
        ("IpamDriver.ReleaseAddress", {"body": '{"Error": "stay"}'}),
    ],
)
def test_endpoints_that_cannot_be_made(sides: tuple[Side, Side], method: str, fault: dict[str, Any]) -> None:
    same(sides, *CREATE, "n1")
    for side in sides:
        side.plugin.fails(**{method: fault})
    same(sides, *RUN, "--network", "n1", "busybox", "true")


def test_a_network_that_the_plugin_will_not_delete(sides: tuple[Side, Side]) -> None:
    same(sides, *CREATE, "n1")
    for side in sides:
        no = {"body": '{"Err": "no", "Error": "no"}'}
        side.plugin.fails(NetworkDriver_DeleteNetwork=no, IpamDriver_ReleasePool=no)
    same(sides, "network", "rm", "n1")
    same(sides, "network", "rm", "n1")
