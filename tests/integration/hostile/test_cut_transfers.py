"""Clients that hang up again and again in the middle of pulls and pushes: the daemon stays small."""

import gzip
import random
import shutil
import socket
import time
import urllib.parse
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.hostile.memory import MAIN, Memory
from tests.integration.images.archives import tar
from tests.registries import DebianRegistry, digest_of, missing

pytestmark = pytest.mark.root

SIZE = 30 << 20  # bytes of a layer
TURNS = 60
LOGIN = urlsafe_b64encode(b"{}").decode()
PULLED, PUSHED = "cut/pulled", "cut/pushed"


@pytest.fixture(scope="module")
def registries(session_root: Path) -> Iterator[list[DebianRegistry]]:
    """Two of them; the first has two images of 120 MB each."""
    if reason := missing():
        pytest.skip(reason)
    made = [DebianRegistry(session_root / f"registry-cut-{number}") for number in range(2)]
    try:
        for registry in made:
            registry.start()
        for seed, name in enumerate((PULLED, PUSHED)):
            noise = random.Random(seed)
            layers = [tar({f"noise{number}": noise.randbytes(SIZE)}) for number in range(4)]
            made[0].put_image(
                name,
                "1",
                [gzip.compress(layer, 0, mtime=0) for layer in layers],
                rootfs={"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
            )
        yield made
    finally:
        for registry in made:
            registry.stop()


def begin(daemon: Wherryd, target: str) -> socket.socket:
    """A request whose answer nobody may live to read."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(daemon.socket))
    client.sendall(
        f"POST {target} HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: {LOGIN}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    return client


def pull(name: str) -> str:
    return f"/images/create?fromImage={urllib.parse.quote(name, safe='')}&tag=1"


def push(name: str) -> str:
    return f"/images/{name}/push?tag=1"


def fine(daemon: Wherryd, target: str) -> bool:
    """Whether it comes to its end."""
    answer = daemon.call("POST", target, headers={"X-Registry-Auth": LOGIN}, timeout=120)
    return answer.status == 200 and b"errorDetail" not in answer.body


@pytest.mark.timeout(180)
def test_sixty_cut_pulls_and_pushes(wherryd: Wherryd, registries: list[DebianRegistry]) -> None:
    """Each after 20 to 300 ms. What a pull has brought is kept, and a push begins anew, as its registry loses all."""
    source, target = registries
    own, other = f"{source.netloc}/{PUSHED}", f"{target.netloc}/{PUSHED}"
    wanted = f"{source.netloc}/{PULLED}"
    assert fine(wherryd, pull(own))
    assert wherryd.call("POST", f"/images/{own}:1/tag?repo={other}&tag=1").status == 201
    memory = Memory(wherryd.pid)
    dice = random.Random(9)
    try:
        for turn in range(TURNS):
            with begin(wherryd, pull(wanted) if turn % 2 else push(other)):
                time.sleep(dice.uniform(0.02, 0.3))
            shutil.rmtree(target.root / "data" / "docker", ignore_errors=True)
            wherryd.call("DELETE", f"/images/{wanted}:1")  # whole it is of no use here
        main = memory.main
    finally:
        memory.close()
    assert fine(wherryd, pull(wanted))
    assert fine(wherryd, push(other))
    for name in (wanted, own, other):
        assert wherryd.call("DELETE", f"/images/{name}:1").status == 200
    assert main < MAIN, f"the daemon had {main} MB"
