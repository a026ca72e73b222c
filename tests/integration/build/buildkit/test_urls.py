"""ADD of URLs by the official CLI: what is kept of them, shown and pruned."""

import hashlib
import subprocess
import threading
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.buildkit.conftest import Build
from tests.integration.build.contexts.serving import Server, server
from tests.waiting import eventually

pytestmark = pytest.mark.root
__all__ = ["server"]


def kept(wherryd: Wherryd) -> list[str]:
    return [each.name for each in (wherryd.data_root / "build/cache").glob("url-*")]


def test_what_is_known_is_not_sent_again(wherryd: Wherryd, build: Build, server: Server) -> None:
    added = f"FROM busybox\nADD {server.url}/f /\nRUN cat /f\n"
    build(added)
    shown = wherryd.docker("buildx", "du", "--verbose").stdout
    assert f"http url {server.url}/f" in shown
    assert "7B" in shown
    again = build(added).stderr
    assert [method for method, _ in server.since()] == ["GET", "HEAD"]
    assert again.count("CACHED") == 4, again  # FROM, the file, ADD and RUN
    server.content, server.etag = b"other", '"two"'
    assert "other" in build(added).stderr
    server.since()
    checksum = hashlib.sha256(b"content").hexdigest()
    build(f"FROM busybox\nADD --checksum=sha256:{checksum} {server.url}/f /\n", "-t", "made")
    assert server.since() == []
    assert wherryd.docker("run", "--rm", "made", "cat", "/f").stdout == "content"
    assert len(kept(wherryd)) == 2
    wherryd.docker("builder", "prune", "-f", "--filter", f"description=http url {server.url}/f")
    assert kept(wherryd) == []


def test_a_client_that_goes_leaves_no_file(wherryd: Wherryd, project: Path, server: Server) -> None:
    server.content = b"x" * (2 << 20)
    server.going.clear()
    (project / "Dockerfile").write_text(f"FROM scratch\nADD {server.url}/f /\n")
    command = ["docker", "--host", f"unix://{wherryd.socket}", "build", "--progress=plain", str(project)]
    lines: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr is not None
        reading = threading.Thread(target=lambda: lines.extend(client.stderr or ()))
        reading.start()
        eventually(lambda: any("downloading:" in line and "/ 2.10MB" in line for line in lines))
        assert len(kept(wherryd)) == 1
        client.terminate()
        reading.join()
    eventually(lambda: not kept(wherryd))
