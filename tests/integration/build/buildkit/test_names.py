"""Names of files that are no text, by either API."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.buildkit.test_buildx import BASE

pytestmark = pytest.mark.root


@pytest.mark.parametrize("way", ["1", "0"])
def test_names_that_are_no_text(wherryd: Wherryd, project: Path, way: str) -> None:
    """Bytes, of whatever kind, in a context, in what is left out of it, and in what a failure names."""
    place, env = os.fsencode(project), {**wherryd.client_env, "DOCKER_BUILDKIT": way}
    for name in (b"\xff\xfe", b"a\nb", b"[*]", b"\xc3\xa9"):
        Path(os.fsdecode(place + b"/" + name)).write_bytes(name)
    os.symlink(b"\xfe", place + b"/\xfd")
    (project / "Dockerfile").write_text(BASE + "COPY . /all\nRUN cd /all && rm Dockerfile && ls | wc -c\n")

    def run() -> subprocess.CompletedProcess[bytes]:
        argv = ["docker", "build", "-t", "named", str(project)]
        return subprocess.run(argv, env=env, capture_output=True, timeout=60)

    done = run()
    assert done.returncode == 0, done.stderr
    assert b"16\n" in done.stdout + done.stderr
    assert b"CACHED" in (again := run()).stderr or b"Using cache" in again.stdout
    (project / "Dockerfile").write_text(BASE + "COPY [^D]* /all/\n")
    refused = run()
    assert refused.returncode
    assert "\ufffd".encode() in refused.stderr
    assert b"internal error" not in refused.stderr
