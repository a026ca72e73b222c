"""What plugins of volumes are asked, in which order, and what is said of their failures, as by dockerd.

VolumeDriver.Get is left out where it follows another call: dockerd asks it again before each mount, unmount and
removal, and can use nothing that a plugin says.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peer.peer import missing, with_busybox
from tests.peer.plugged import AGENT, Side, same
from tests.unix_http import call
from tests.volumes.ground import inside, secluded, volume_plugin

pytestmark = pytest.mark.root

VOLS = "vols"
_ID = re.compile(r"\b[0-9a-f]{64}\b")


class Stored(Side):
    """Of volumes."""

    def does(self, *args: str) -> list[str]:
        """What came of a command, and the calls that it made."""
        done = self.daemon.docker(*args, check=False)
        out, err = (each if isinstance(each, str) else each.decode() for each in (done.stdout, done.stderr))
        return [self._masked(line) for line in (f"exit {done.returncode}", out, err, *self.calls())]

    def calls(self) -> list[str]:
        made = [each for each in self.plugin.calls() if not each["method"].endswith(".Get")]
        return [f"{each['method']} {json.dumps(each['body'], sort_keys=True)}" for each in made]

    def asked(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the body of an answer."""
        answer = call(self.daemon.socket, method, f"/v1.45{path}", body)
        text = answer.body.decode().replace(str(self.plugin.folder), "<folder>")
        return answer.status, json.loads(self._masked(text)) if text else None

    def _masked(self, text: str) -> str:
        text = text.replace(str(self.plugin.folder), "<folder>")
        return self.numbered(text, _ID)


@pytest.fixture(scope="module")
def sides(busybox_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stored, Stored]]:
    """Plugins of the same name; each daemon sees a folder of its own, and is of no use to others.

    dockerd keeps a driver that it has met, and asks it at each volume that it makes, 15 seconds when it is away.
    """
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("volumes")
    with secluded(busybox_tar) as wherryd, with_busybox(busybox_tar) as peer:
        ours = volume_plugin(folder / "ours", VOLS, wherryd.wrapper)
        theirs = volume_plugin(folder / "theirs", VOLS, inside(peer.pid), AGENT)
        yield Stored(wherryd, ours), Stored(peer, theirs)
        ours.stop()
        theirs.stop()


@pytest.fixture(autouse=True)
def clean(sides: tuple[Stored, Stored]) -> Iterator[None]:
    yield
    for side in sides:
        side.plugin.fails()
        for container in side.asked("GET", "/containers/json?all=1")[1]:
            side.does("rm", "-fv", container["Names"][0])
        for volume in side.asked("GET", "/volumes")[1]["Volumes"]:
            side.does("volume", "rm", volume["Name"])
        side.plugin.calls()
        side.forget()


def same_answer(sides: tuple[Stored, Stored], method: str, path: str, body: Any = None) -> None:
    ours, theirs = (side.asked(method, path, body) for side in sides)
    assert ours == theirs, (method, path)


RUN = ("run", "--rm", "--net", "none")
LIVES = (
    (
        ("volume", "create", "-d", VOLS, "-o", "a=b", "v1"),
        ("volume", "create", "-d", VOLS, "v1"),
        ("volume", "create", "v1"),
        ("volume", "create", "-d", "local", "v1"),
        ("volume", "inspect", "v1"),
        ("volume", "ls"),
        ("create", "--name", "c1", "--net", "none", "-v", "v1:/x", "busybox", "sleep", "100"),
        ("start", "c1"),
        ("inspect", "-f", "{{json .Mounts}}", "c1"),
        ("volume", "inspect", "v1"),
        ("volume", "rm", "v1"),
        ("restart", "-t0", "c1"),
        ("stop", "-t0", "c1"),
        ("create", "--name", "c2", "--net", "none", "--volumes-from", "c1", "busybox", "true"),
        ("start", "-a", "c2"),
        ("rm", "-v", "c1", "c2"),
        ("volume", "prune", "-af"),
        ("volume", "rm", "v1"),
        ("volume", "rm", "v1"),
    ),
    (
        # One volume each: dockerd mounts several in no fixed order.
        (*RUN, "--volume-driver", VOLS, "-v", "v2:/x:nocopy", "busybox", "true"),
        (*RUN, "--volume-driver", VOLS, "-v", "/bare", "busybox", "true"),
        (*RUN, "-v", "v2:/bin", "busybox", "true"),
        (*RUN, "-v", "v2:/x:ro", "busybox", "touch", "/x/f"),
        (
            *RUN,
            "--mount",
            f"type=volume,src=v3,dst=/m,volume-driver={VOLS},volume-opt=a=b",
            "busybox",
            "true",
        ),
        (*RUN, "--mount", "type=volume,src=v3,dst=/m,volume-subpath=nope", "busybox", "true"),
        ("volume", "rm", "v2", "v3"),
    ),
)


@pytest.mark.parametrize("life", LIVES)
def test_calls(sides: tuple[Stored, Stored], life: tuple[tuple[str, ...], ...]) -> None:
    for args in life:
        same(sides, *args)


def test_volumes_that_the_plugin_had_before(sides: tuple[Stored, Stored]) -> None:
    for side in sides:
        (side.plugin.folder / "volumes/stray").mkdir()
        (side.plugin.folder / "volumes/.stray.json").write_text('{"k": "v"}')
    same(sides, "volume", "ls")
    same(sides, "volume", "inspect", "stray")
    same(sides, *RUN, "-v", "stray:/x", "busybox", "true")
    same(sides, "volume", "rm", "stray")


def test_bodies(sides: tuple[Stored, Stored]) -> None:
    made = {"Name": "v4", "Driver": VOLS, "Labels": {"l": "m"}, "DriverOpts": {"o": "p"}}
    same_answer(sides, "POST", "/volumes/create", made)
    same_answer(sides, "GET", "/volumes/v4")
    same_answer(sides, "GET", "/volumes")
    same_answer(sides, "POST", "/volumes/create", {"Name": "v4", "Driver": "local"})
    same_answer(sides, "POST", "/volumes/create", {"Driver": VOLS})
    same_answer(sides, "POST", "/volumes/create", {"Name": "x", "Driver": VOLS})
    for side in sides:
        (side.plugin.folder / "volumes/v4").rmdir()
    same_answer(sides, "GET", "/volumes/v4")
    same_answer(sides, "GET", "/volumes")


SAYS_NO = {"body": '{"Err": "said no"}'}
FAULTS = (
    ("Create", SAYS_NO),
    ("Create", {"status": 500, "body": "plain text"}),
    ("Create", {"status": 404, "body": '{"Err": "not here"}'}),
    ("Mount", SAYS_NO),
    ("Mount", {"status": 500, "body": '{"Err": "bad"}'}),
    ("Unmount", SAYS_NO),
    ("Remove", SAYS_NO),
    ("List", SAYS_NO),
    ("Path", SAYS_NO),
    ("Capabilities", SAYS_NO),
)


@pytest.mark.parametrize(("method", "fault"), FAULTS, ids=str)
def test_failures(sides: tuple[Stored, Stored], method: str, fault: dict[str, Any]) -> None:
    same(sides, "volume", "create", "-d", VOLS, "v5")
    for side in sides:
        side.plugin.fails(**{f"VolumeDriver_{method}": fault})
    same(sides, "volume", "create", "-d", VOLS, "v6")
    same(sides, *RUN, "-v", "v5:/x", "busybox", "true")
    same(sides, "volume", "ls")
    same(sides, "volume", "inspect", "v5")
    same(sides, "volume", "rm", "v5")
    for side in sides:
        side.plugin.fails()
        (side.plugin.folder / "mounted").unlink(missing_ok=True)  # of unmounts that it refused
    same(sides, "volume", "rm", "v5")
