"""Builds of a daemon with --userns-remap: steps are in a user namespace, and files belong to whom they say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.leftovers import Leftovers, scope_of
from tests.remapped import FIRST, remapped

pytestmark = pytest.mark.root
DOCKERFILE = """\
FROM busybox AS other
RUN touch /other && chown 5:6 /other
FROM busybox
RUN cat /proc/self/uid_map >> /told; touch /own; stat -c "%n %u:%g" /own >> /told; ls /sys/class/net >> /told
WORKDIR /made
RUN --mount=type=cache,target=/c touch /c/x; stat -c "%n %u:%g" /c/x . >> /told
RUN --mount=type=bind,target=/b stat -c "%n %u:%g" /b/file >> /told; touch /b/x || echo refused >> /told
RUN --mount=type=bind,target=/b,rw touch /b/x; rm /b/file; ls /b >> /told
RUN --mount=type=bind,from=other,target=/b stat -c "%n %u:%g" /b/other >> /told
RUN --mount=type=bind,from=other,target=/b,rw rm /b/other; touch /b/x; stat -c "%n %u:%g" /b/x >> /told
RUN --mount=type=cache,from=other,target=/d stat -c "%n %u:%g" /d/other >> /told; touch /d/x
RUN --mount=type=secret,id=key cat /run/secrets/key >> /told
COPY --chown=33:33 file /copied
USER 33
RUN test -w /copied && echo mine > /copied
"""
TOLD = [
    "/own 0:0",
    "eth0",
    "lo",
    "/c/x 0:0",
    ". 0:0",
    "/b/file 0:0",
    "refused",
    "Dockerfile",
    "key",
    "x",
    "/b/other 5:6",
    "/b/x 0:0",
    "/d/other 5:6",
    "secret",
]


@pytest.fixture
def daemon(busybox_tar: Path) -> Iterator[Wherryd]:
    with remapped().running(busybox_tar) as daemon:
        yield daemon


def test_builds(daemon: Wherryd) -> None:
    context = daemon.root / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "file").write_text("copied")
    (context / "key").write_text("secret\n")
    daemon.restart()
    before = Leftovers(scope_of(daemon))
    daemon.docker("build", "-t", "made", "--secret", f"id=key,src={context}/key", str(context))
    said = daemon.docker("run", "--rm", "made", "cat", "/told", "/copied").stdout.splitlines()
    assert said[0].split() == ["0", str(FIRST), "65536"]
    assert said[1:] == [*TOLD, "mine"]
    daemon.docker("rmi", "made")
    daemon.docker("builder", "prune", "-af")
    daemon.restart()
    before.check(scope_of(daemon), kept=("descriptor of the daemon",))
