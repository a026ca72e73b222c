"""musl's resolver, which most containers of Alpine have, beside the embedded DNS: it asks for both families at once."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.test_dns import Box
from tests.network.dns_client import KINDS, Nameserver, Seen, answer

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_leftovers")]

SOURCE = Path(__file__).with_name("musl_lookup.c")
MANY = [f"198.51.100.{number}" for number in range(1, 41)]  # musl takes 48
NO_SUCH = 0x8183
TRUNCATED = 0x8380


class Musl(Box):
    """A container whose lookups are musl's."""

    def finds(self, name: str, family: str = "0") -> list[str]:
        return sorted(self.exec("/musl/lookup", "name", family, name).split())

    def name_of(self, address: str) -> str:
        return self.exec("/musl/lookup", "address", address).strip()


Run = Callable[..., Musl]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the static program."""
    if not shutil.which("musl-gcc"):
        pytest.skip("no musl-gcc (make setup-test installs it)")
    folder = tmp_path_factory.mktemp("musl")
    folder.chmod(0o755)
    subprocess.run(["musl-gcc", "-static", "-O1", "-o", folder / "lookup", SOURCE], check=True)
    return folder


@pytest.fixture
def run(wherryd: Wherryd, program: Path) -> Iterator[Run]:
    """Run a container of a name and options in a network of IPv4."""
    wherryd.docker("network", "create", "--subnet", "10.92.0.0/24", "front")
    wherryd.docker("network", "create", "--ipv6", "--subnet", "fd00:92::/64", "both")
    names: list[str] = []

    def run(name: str, *options: str, network: str = "front") -> Musl:
        names.append(name)
        where = ("--network", network, "-v", f"{program}:/musl:ro")
        wherryd.docker("run", "-d", "--name", name, *where, *options, "busybox", "sleep", "1000")
        return Musl(wherryd, name)

    yield run
    wherryd.docker("rm", "-f", *names)
    wherryd.docker("network", "rm", "front", "both")


def test_names(run: Run) -> None:
    web = run("web", "--network-alias", "www")
    client = run("client", "--link", "web:sql")
    for name in ("web", "www", "sql", web.id[:12], "WEB.front", "web."):
        assert client.finds(name) == client.finds(name, "4") == [web.address()], name
    assert client.finds("web", "6") == ["EAI_NODATA"]
    assert client.name_of(web.address()) == "web.front"
    run("web2", "--network-alias", "www")
    assert len(client.finds("www")) == 2


def test_both_families(run: Run) -> None:
    web, client = run("web", network="both"), run("client", network="both")
    four, six = web.address("both"), web.address("both", "GlobalIPv6Address")
    assert client.finds("web") == sorted([four, six])
    assert (client.finds("web", "4"), client.finds("web", "6")) == ([four], [six])
    assert client.name_of(six) == client.name_of(four) == "web.both"


@pytest.fixture
def outside(run: Run) -> Iterator[Nameserver]:
    """A nameserver outside, in the container `own`: it knows few names, and those of IPv4 alone."""

    def script(seen: Seen) -> list[bytes]:
        asked = int.from_bytes(seen.request[-4:-2], "big")
        known = {"host.corp.test.": MANY[:1], "a.b.": MANY[1:2], "many.test.": MANY}
        if seen.name not in known:
            return [answer(seen.request, bits=NO_SUCH)]
        addresses = known[seen.name] if asked == KINDS["A"] else []
        if len(addresses) > 20 and not seen.tcp:
            return [answer(seen.request, bits=TRUNCATED)]
        return [answer(seen.request, *addresses)]

    nameserver = Nameserver(script)
    own = run("own", "--ip", "10.92.0.53")
    inside = own.namespace()
    nameserver.start(inside, "0.0.0.0")
    os.close(inside)
    yield nameserver
    nameserver.close()


DNS = ("--dns", "10.92.0.53")


def test_search_domains(run: Run, outside: Nameserver) -> None:
    """Names of containers come first, whatever is searched; few dots are searched for before they are asked as is."""
    web = run("web")
    client = run("client", *DNS, "--dns-search", "corp.test", "--dns-option", "ndots:2")
    assert client.finds("web") == [web.address()]
    assert client.finds("host") == MANY[:1]
    assert client.finds("a.b") == MANY[1:2]
    names = outside.names()
    assert names.index("a.b.corp.test.") < names.index("a.b.")
    assert client.finds("nobody") == [
        "EAI_NODATA"
    ]  # with ndots one label alone is not asked for, as in Docker
    assert client.finds("nobody.corp.test") == ["EAI_NONAME"]


def test_an_answer_that_needs_tcp(run: Run, outside: Nameserver) -> None:
    client = run("client", *DNS)
    assert client.finds("many.test") == sorted(MANY)
    assert any(each.tcp for each in outside.seen)
