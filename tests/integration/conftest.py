"""The daemon with real clients: one wherryd for the run, and a look for leftovers around every test."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import aiodocker
import docker as docker_package
import pytest

from tests.daemon import Wherryd
from tests.leftovers import no_leftovers, nothing_left_by_module, scope_of
from tests.roots import make_root
from tests.supervised import Supervised
from tests.wire.answers import Answers, watch
from tests.world import Scope

__all__ = ["no_leftovers", "nothing_left_by_module"]


@pytest.fixture(scope="session")
def watched() -> list[Answers]:
    """The answers of the daemons of the run, where the definition of the API is here to compare them with."""
    return []


@pytest.fixture(autouse=True)
def contract(watched: list[Answers]) -> Iterator[None]:
    """Fail a test in which a daemon answered anything that the newest API does not say."""
    yield
    if wrong := [line for answers in watched for line in answers.problems()]:
        pytest.fail("answers that are not of the contract:\n  " + "\n  ".join(wrong), pytrace=False)


@pytest.fixture(scope="session")
def wherryd(busybox_tar: Path, session_root: Path, watched: list[Answers]) -> Iterator[Wherryd]:
    """A daemon for all tests, with the image busybox:latest.

    It runs as under systemd, with a socket and a NOTIFY_SOCKET given: none of the suite may see anything of them.
    """
    daemon = Supervised(make_root())
    watched += watch(daemon, session_root)
    with daemon.running(busybox_tar):
        yield daemon


@pytest.fixture(autouse=True)
def alive(request: pytest.FixtureRequest) -> None:
    """Start the daemon of the run again where a test has ended it: that test failed, the next need not."""
    if "wherryd" in request.fixturenames:
        daemon: Wherryd = request.getfixturevalue("wherryd")
        if not daemon.alive:
            daemon.start()


@pytest.fixture
def start_daemon(
    busybox_tar: Path, session_root: Path, contract: None, watched: list[Answers]
) -> Iterator[Callable[..., Wherryd]]:
    """Start further daemons, with flags and through a wrapper; they are taken away after the test."""
    daemons = []

    def start(*flags: str, image: bool = True, wrapper: Sequence[str] = ()) -> Wherryd:
        daemon = Wherryd(make_root(), flags)
        daemon.wrapper = list(wrapper)
        daemons.append(daemon)
        watched.extend(watch(daemon, session_root))
        daemon.start()
        if image:
            daemon.import_busybox(busybox_tar)
        return daemon

    yield start
    for daemon in daemons:
        daemon.destroy()


@pytest.fixture
def scope(wherryd: Wherryd) -> Scope:
    """Where to look for what the daemon of the run leaves."""
    return scope_of(wherryd)


@pytest.fixture
def docker(wherryd: Wherryd) -> Callable[..., object]:
    """The official CLI: docker("run", "--rm", …) gives its exit code and output."""
    return wherryd.docker


@pytest.fixture
def docker_py(wherryd: Wherryd) -> Iterator[docker_package.DockerClient]:
    """A docker-py client, closed after the test."""
    client = docker_package.DockerClient(base_url=f"unix://{wherryd.socket}", timeout=60)
    yield client
    client.close()


@pytest.fixture
async def aio(wherryd: Wherryd) -> AsyncIterator[aiodocker.Docker]:
    """An aiodocker client, closed after the test."""
    async with aiodocker.Docker(url=f"unix://{wherryd.socket}") as client:
        yield client
