"""Copies from and to containers with a user namespace: archives have the container's ids, files the host's."""

import io
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.remapped import FIRST, remapped
from tests.unix_http import call

pytestmark = pytest.mark.root
CAPABILITY = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"


@pytest.fixture(scope="module")
def wherryd(busybox_tar: Path) -> Iterator[Wherryd]:
    with remapped().running(busybox_tar) as daemon:
        yield daemon


@pytest.fixture(params=["running", "exited"])
def box(wherryd: Wherryd, request: pytest.FixtureRequest) -> Iterator[str]:
    script = "echo x > /f; chown 5:6 /f; echo v > /v/f; chown 7:8 /v/f; touch /ready"
    wherryd.docker(
        "run", "-d", "--name", "box", "--network", "none", "-v", "ids:/v", "busybox",
        "sh", "-c", script + ("; sleep 1000" if request.param == "running" else ""),
    )  # fmt: skip
    if request.param == "exited":
        wherryd.docker("wait", "box")
    while call(wherryd.socket, "HEAD", "/v1.45/containers/box/archive?path=/ready").status != 200:
        time.sleep(0.02)
    yield "box"
    wherryd.docker("rm", "-f", "-v", "box")
    wherryd.docker("volume", "rm", "ids")


def owners(wherryd: Wherryd, path: str) -> dict[str, tuple[int, int]]:
    answer = call(wherryd.socket, "GET", f"/v1.45/containers/box/archive?path={path}")
    assert answer.status == 200, answer
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        return {each.name: (each.uid, each.gid) for each in archive}


def test_ids(wherryd: Wherryd, box: str) -> None:
    assert owners(wherryd, "/f") == {"f": (5, 6)}
    assert owners(wherryd, "/v") == {"v": (0, 0), "v/f": (7, 8)}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("deep/er/plain", "capable"):
            entry = tarfile.TarInfo(name)
            entry.uid, entry.gid = 11, 12
            if name == "capable":
                value = CAPABILITY.decode("utf-8", "surrogateescape")
                entry.pax_headers = {"SCHILY.xattr.security.capability": value}
            archive.addfile(entry)
    for place in ("/v", "/bin"):
        target = f"/v1.45/containers/box/archive?path={place}"
        answer = call(wherryd.socket, "PUT", target, made.getvalue())
        assert answer.status == 200, answer
        found = owners(wherryd, f"{place}/deep")
        assert found == {"deep": (0, 0), "deep/er": (0, 0), "deep/er/plain": (11, 12)}
        got = call(wherryd.socket, "GET", f"{target}/capable").body
        with tarfile.open(fileobj=io.BytesIO(got)) as archive:
            value = archive.getmembers()[0].pax_headers["SCHILY.xattr.security.capability"]
            assert value.encode("utf-8", "surrogateescape") == CAPABILITY
    volume = wherryd.get("/volumes/ids").json["Mountpoint"]
    at = Path(volume, "deep/er/plain").stat()
    assert (at.st_uid, at.st_gid) == (FIRST + 11, FIRST + 12)
