"""kill -9 in the middle of a build: after the next start nothing of it is there, and the same build works."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.build import workspace
from engine.build.contexts import local, url_files
from engine.build.run import runner
from tests.crash.dying import is_killed_by
from tests.daemon import Wherryd
from tests.roots import holding, make_root
from tests.waiting import eventually

pytestmark = pytest.mark.root

POINTS = [
    *(f"build.{step}" for step in workspace.STEPS),
    *(f"run.{step}" for step in runner.STEPS),
    *(f"local.{step}" for step in local.STEPS),
]
SECRET = b"a secret that is on no disk"
DOCKERFILE = """\
FROM busybox
RUN --mount=type=secret,id=key --mount=type=bind,target=/context,rw --mount=type=tmpfs,target=/t \\
    wc -c < /run/secrets/key > /told; touch /context/x /t/x; (sleep 1000 &); sleep 0.3
COPY marker /copied
"""


@pytest.fixture
def context() -> Iterator[Path]:
    """What is built."""
    root = make_root()
    (root / "Dockerfile").write_text(DOCKERFILE)
    (root / "marker").write_text("marker")
    (root / "secret").write_bytes(SECRET)
    yield root
    for path in root.iterdir():
        path.unlink()
    root.rmdir()


@pytest.fixture(autouse=True)
def as_before(mortal: Wherryd) -> Iterator[None]:
    """After the test the stores are as they were; workers that wait for the next build end with the daemon."""
    before = kept(mortal)
    yield
    mortal.docker("builder", "prune", "-af")
    assert kept(mortal) == before
    mortal.restart()


def build(mortal: Wherryd, context: Path) -> None:
    secret = f"id=key,src={context}/secret"
    mortal.docker("build", "--secret", secret, "-t", "made", str(context))


def kept(mortal: Wherryd) -> set[str]:
    """Everything that is kept for good, but for databases and logs."""
    places = ("content", "snapshots", "build")
    paths = (path for place in places for path in (mortal.data_root / place).glob("*/*"))
    blobs = (mortal.data_root / "content/blobs/sha256").iterdir()
    return {str(path.relative_to(mortal.data_root)) for path in (*paths, *blobs)}


@pytest.mark.parametrize("point", POINTS)
def test_killed(mortal: Wherryd, context: Path, point: str) -> None:
    before = kept(mortal)
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: build(mortal, context))
    assert kept(mortal) == before
    assert not list((mortal.exec_root / "build").glob("*"))
    assert not holding(mortal.root, SECRET)
    build(mortal, context)
    assert mortal.docker("run", "--rm", "made", "cat", "/told", "/copied").stdout == f"{len(SECRET)}\nmarker"
    mortal.docker("rmi", "made")


@pytest.mark.parametrize("step", local.STEPS)
def test_killed_while_a_kept_context_changes(mortal: Wherryd, context: Path, step: str) -> None:
    """What the next daemon has of it is whole, or nothing; and so is what is built then."""
    (context / "Dockerfile").write_text("FROM busybox\nCOPY marker kept /\n")
    for name in ("marker", "kept"):
        (context / name).write_text(f"{name} of old")
    mortal.docker("build", "-t", "before", str(context))
    assert (
        mortal.docker("buildx", "du", "--filter", "type=source.local", "--verbose").stdout.count("ID:") == 1
    )
    (context / "marker").write_text("marker")
    mortal.dies_at(f"local.{step}")
    is_killed_by(mortal, lambda: mortal.docker("build", "-t", "made", str(context)))
    assert not list((mortal.data_root / "build/cache").iterdir())
    assert "source.local" not in mortal.docker("buildx", "du", "--verbose").stdout
    mortal.docker("build", "-t", "made", str(context))
    told = mortal.docker("run", "--rm", "made", "cat", "/marker", "/kept").stdout
    assert told == "markerkept of old"
    mortal.docker("rmi", "before", "made")


@pytest.mark.parametrize("step", url_files.STEPS)
def test_killed_with_a_file_of_a_url(mortal: Wherryd, context: Path, step: str) -> None:
    """What is known of it is whole, or nothing; a file that is known is not sent again."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            """Tell of a file."""
            asked.append(self.command)
            self.send_response(200)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", "6")
            self.end_headers()

        def do_GET(self) -> None:
            """Give it."""
            self.do_HEAD()
            self.wfile.write(b"marker")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            text = f"FROM busybox\nADD http://127.0.0.1:{server.server_address[1]}/f /\n"
            (context / "Dockerfile").write_text(text)
            mortal.dies_at(f"url.{step}")
            is_killed_by(mortal, lambda: mortal.docker("build", "-t", "made", str(context)))
            directories = list((mortal.data_root / "build/cache").glob("url-*"))
            assert len(directories) == (step == "kept")
            mortal.docker("build", "-t", "made", str(context))
            assert asked == ["GET", "HEAD" if step == "kept" else "GET"]
        finally:
            server.shutdown()
            serving.join()
    assert mortal.docker("run", "--rm", "made", "cat", "/f").stdout == "marker"
    mortal.docker("rmi", "made")


def test_killed_while_a_command_runs(mortal: Wherryd, context: Path) -> None:
    """Its process outlives the daemon, whatever kills that, and ends with the next start."""
    before = kept(mortal)
    (context / "Dockerfile").write_text("FROM busybox\nRUN touch /f; exec sleep 1234.5\n")
    is_killed_by(mortal, lambda: killing(mortal, context))
    assert kept(mortal) == before
    eventually(lambda: not running(b"1234.5"))


def killing(mortal: Wherryd, context: Path) -> None:
    """Build, and kill the daemon once the command runs."""
    worker = threading.Thread(target=lambda: mortal.docker("build", str(context), check=False), daemon=True)
    worker.start()
    eventually(lambda: running(b"sleep\0001234.5"))
    mortal.kill9()
    worker.join()


def running(command: bytes) -> list[Path]:
    """Processes with that in their command."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if command in content(path)]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
