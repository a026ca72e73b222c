"""After every test the world is as it was: what is left is named, and only what a client can remove is cleaned up.

What a test makes, the test removes. Images, containers, networks and volumes that it left are removed once they are
named, since so many other tests look at all of them: one failure stays one. The kernel takes some of it away a little
later (a network namespace up to 100 ms after its last user), so the comparison is repeated for a few seconds before
it fails.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import pytest

from tests.daemon import Wherryd
from tests.world import READERS, Scope, Sight, Things

GRACE = 20.0
COPIERS = ("runtime.copying.server", "descriptor of the daemon:")
"""What stays after a build: copiers wait for the next one, at the other end of the daemon's pipes."""


class Leftovers:
    """The world as a daemon's things stood at one moment, to compare with a later one."""

    def __init__(self, scope: Scope) -> None:
        self._before = snapshot(scope)

    def since(self, scope: Scope) -> list[str]:
        """Return a line for each thing that is there now and was not."""
        now = snapshot(scope)
        return [line for key, line in sorted(now.items()) if key not in self._before]

    def settle(self, scope: Scope, grace: float = GRACE, kept: Sequence[str] = ()) -> list[str]:
        """Return what is still there after up to grace seconds of waiting, but for lines with a text of `kept`."""
        deadline = time.monotonic() + grace
        while (left := self._since(scope, kept)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def _since(self, scope: Scope, kept: Sequence[str]) -> list[str]:
        return [line for line in self.since(scope) if not any(each in line for each in kept)]

    def check(self, scope: Scope, kept: Sequence[str] = ()) -> None:
        """Fail if something is still there then, naming each thing."""
        if left := self.settle(scope, kept=kept):
            pytest.fail("left:\n  " + "\n  ".join(left), pytrace=False)


def snapshot(scope: Scope) -> Things:
    """Read all kinds; the keys are made unique by the kind's name."""
    sight = Sight(scope)
    return {f"{reader.__name__} {key}": line for reader in READERS for key, line in reader(sight).items()}


def scope_of(daemon: Wherryd) -> Scope:
    """Return where the things of a running daemon are found."""
    return Scope(
        data_root=daemon.data_root,
        exec_root=daemon.exec_root,
        bridge=daemon.bridge,
        pid=daemon.pid,
        marks=(daemon.instance,) if daemon.instance else (),
    )


def images_of(daemon: Wherryd) -> set[str]:
    """Names of all images, and IDs of those without one."""
    images = daemon.get("/images/json?all=1").json
    return {name for image in images for name in image["RepoTags"] or [image["Id"]]}


def removable(daemon: Wherryd) -> set[str]:
    """Targets of all containers, networks and volumes, which can be removed in the order of their names."""
    networks = {f"/networks/{network['Name']}" for network in daemon.get("/networks").json}
    directories = [*daemon.data_root.glob("containers/*"), *daemon.data_root.glob("volumes/*")]
    return networks | {f"/{path.parent.name}/{path.name}" for path in directories if path.is_dir()}


def remove(daemon: Wherryd, targets: Iterable[str]) -> None:
    """Remove what `removable` names. What cannot be removed stays."""
    for target in sorted(targets):
        with suppress(OSError):
            daemon.call("DELETE", f"{target}?force=1")


@pytest.fixture(autouse=True)
def no_leftovers(wherryd: Wherryd) -> Iterator[None]:
    """Fail a test that leaves something, naming each thing. DaemonFailed where it ended the daemon."""
    before, images, others = Leftovers(scope_of(wherryd)), images_of(wherryd), removable(wherryd)
    yield
    scope = scope_of(wherryd)
    foreign = sorted(images_of(wherryd) - images)
    for name in foreign:
        wherryd.call("DELETE", f"/images/{name}?force=1")
    left = [f"image {name}" for name in foreign]
    left += sorted(name for name in removable(wherryd) - others if name.startswith("/networks/"))
    left += before.settle(scope)
    remove(wherryd, removable(wherryd) - others)
    if left:
        pytest.fail("the test left:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture(scope="module")
def nothing_left_by_module(wherryd: Wherryd) -> Iterator[None]:
    """Fail a module that leaves something, where it cannot be told after each test.

    Connections to registries stay for some seconds, for the next request.
    """
    before = Leftovers(scope_of(wherryd))
    yield
    before.check(scope_of(wherryd))
