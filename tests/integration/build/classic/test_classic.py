"""Builds of the classic API as its clients use it: the docker CLI without BuildKit, docker-py and aiodocker."""

import gzip
import http.server
import io
import json
import os
import random
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiodocker import Docker
from docker import DockerClient as Client
from docker import errors

from tests.daemon import Wherryd
from tests.integration.build.classic.going import UNTIL_GO, go_on
from tests.integration.images.archives import tar
from tests.integration.test_disk_usage import SLACK, lying
from tests.unix_http import UnixConnection
from tests.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SIMPLE = "FROM busybox\nCOPY f /f\nRUN cat /f\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a Dockerfile and a file."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Dockerfile").write_text(SIMPLE)
    (directory / "f").write_text("from the context\n")
    return directory


def context(dockerfile: str, **files: bytes) -> bytes:
    return tar({"Dockerfile": dockerfile.encode(), **files})


def build(daemon: Wherryd, query: str, body: bytes = b"") -> list[dict[str, Any]]:
    """The messages of a build."""
    answer = daemon.call("POST", f"/build?{query}", body, headers={"Content-Type": "application/x-tar"})
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def said(messages: list[dict[str, Any]]) -> str:
    """What a terminal shows of them."""
    return "".join(message.get("stream", "") for message in messages)


def run(daemon: Wherryd, image: str, *command: str) -> str:
    return daemon.docker("run", "--rm", "--network", "none", image, *command).stdout


def cli(daemon: Wherryd, *args: str, stdin: bytes = b"", check: bool = True) -> Any:
    """`docker build` without BuildKit."""
    env = {**daemon.client_env, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(["docker", "build", *args], input=stdin, capture_output=True, env=env, timeout=60)
    if check:
        assert done.returncode == 0, done.stderr.decode()
    return subprocess.CompletedProcess(args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_transcript(wherryd: Wherryd) -> None:
    messages = build(wherryd, "t=built:1", context(SIMPLE, f=b"hello\n"))
    shown = re.sub(r"[0-9a-f]{12}", "<id>", said(messages))
    assert shown == (
        "Step 1/3 : FROM busybox\n ---> <id>\n"
        "Step 2/3 : COPY f /f\n ---> <id>\n"
        "Step 3/3 : RUN cat /f\n ---> Running in <id>\nhello\n"
        " ---> Removed intermediate container <id>\n ---> <id>\n"
        "Successfully built <id>\nSuccessfully tagged built:1\n"
    )
    (told,) = [message["aux"]["ID"] for message in messages if "aux" in message]
    assert wherryd.get("/images/built:1/json").json["Id"] == told
    assert told[7:19] in said(messages)
    assert run(wherryd, "built:1", "cat", "/f") == "hello\n"


def test_what_is_cached(wherryd: Wherryd) -> None:
    first = build(wherryd, "t=built:1", context(SIMPLE, f=b"a"))
    assert "Using cache" not in said(first)
    again = build(wherryd, "t=built:2", context(SIMPLE, f=b"a"))
    assert said(again).count("Using cache") == 2
    one, two = (wherryd.get(f"/images/built:{n}/json").json["Id"] for n in (1, 2))
    assert one == two
    assert "Using cache" not in said(build(wherryd, "", context(SIMPLE, f=b"b"))), "by content"
    assert "Using cache" not in said(build(wherryd, "nocache=1", context(SIMPLE, f=b"a")))


def test_the_cache_of_named_images_alone(wherryd: Wherryd) -> None:
    """As docker-py's own tests have it."""
    dockerfile = "FROM busybox\nENV FOO=bar\nRUN touch baz\nRUN touch bax\n"
    build(wherryd, "t=built:1", context(dockerfile))
    of_it = build(wherryd, f"cachefrom={quote(json.dumps(['built:1']))}", context(dockerfile))
    assert said(of_it).count("Using cache") == 3
    of_none = build(wherryd, f"cachefrom={quote(json.dumps(['nosuch']))}", context(dockerfile))
    assert "Using cache" not in said(of_none)


def test_the_cache_outlives_the_daemon(wherryd: Wherryd) -> None:
    build(wherryd, "", context(SIMPLE, f=b"kept"))
    wherryd.restart()
    assert said(build(wherryd, "", context(SIMPLE, f=b"kept"))).count("Using cache") == 2


def test_disk_usage_and_prune(wherryd: Wherryd) -> None:
    build(wherryd, "t=built:1", context("FROM busybox\nRUN head -c 3000000 /dev/zero > /big\n"))
    (record,) = wherryd.get("/v1.45/system/df").json["BuildCache"]
    assert (record["Type"], record["Shared"], record["InUse"]) == ("regular", True, False)
    wherryd.call("DELETE", "/images/built:1?force=1")
    usage = wherryd.get("/v1.55/system/df?type=build-cache&verbose=1").json["BuildCacheUsage"]
    assert usage["TotalSize"] >= 6_000_000, "the file, and the archive of it"
    assert usage["Reclaimable"] == usage["TotalSize"]
    kept = wherryd.call("POST", f"/build/prune?filters={quote(json.dumps({'until': ['1h']}))}").json
    assert kept == {"CachesDeleted": None, "SpaceReclaimed": 0}
    gone = wherryd.call("POST", "/build/prune").json
    assert gone["CachesDeleted"] == [record["ID"]]
    assert gone["SpaceReclaimed"] == usage["TotalSize"]
    assert wherryd.get("/v1.55/system/df?type=build-cache&verbose=1").json["BuildCacheUsage"] == {}


def test_every_byte_is_counted_once(wherryd: Wherryd) -> None:
    """Of layers and archives that images have as well, that builds have alone, and that two steps have."""

    def told() -> dict[str, int]:
        usage = wherryd.get("/v1.55/system/df?verbose=1").json
        sizes = {kind: total.get("TotalSize", 0) for kind, total in usage.items()}
        assert abs(sum(sizes.values()) - lying(wherryd.data_root)) <= SLACK, sizes
        return sizes

    empty = told()
    big = random.Random(1).randbytes(1_000_000)
    text = "FROM busybox\nRUN head -c 3000000 /dev/zero > /big\nCOPY {} /\n"
    build(wherryd, "t=built:1", context(text.format("a"), a=big))
    build(wherryd, "t=built:2", context(text.format("a ./"), a=big))
    with_image = told()
    assert with_image["ImageUsage"] - empty["ImageUsage"] >= 8_000_000
    for name in ("built:1", "built:2"):
        wherryd.call("DELETE", f"/images/{name}?force=1")
        alone = told()
    assert alone["BuildCacheUsage"] >= 8_000_000
    before = lying(wherryd.data_root)
    reclaimed = wherryd.call("POST", "/build/prune?all=1").json["SpaceReclaimed"]
    assert reclaimed == alone["BuildCacheUsage"]
    assert abs(before - lying(wherryd.data_root) - reclaimed) <= SLACK


def test_a_prune_leaves_what_images_have(wherryd: Wherryd) -> None:
    build(wherryd, "t=built:1", context("FROM busybox\nRUN echo x > /x\n"))
    assert wherryd.call("POST", "/build/prune").json["CachesDeleted"] is None
    (gone,) = wherryd.call("POST", "/build/prune?all=1").json["CachesDeleted"]
    assert gone
    assert run(wherryd, "built:1", "cat", "/x") == "x\n"


NONE = "{} failed: no source files were specified"
SEVERAL = "When using {} with more than one source file, the destination must be a directory and end with a /"


@pytest.mark.parametrize(
    ("instruction", "error"),
    [
        ("COPY nope* /x", NONE),
        ("ADD nope* /x/", NONE),
        ("COPY f? /x", SEVERAL),
        ("ADD f1 f2 /x", SEVERAL),
        ("COPY f? .", SEVERAL),
        ("COPY f1* nope* /x", ""),
        ("COPY f1 nope* /x", ""),
        ("COPY f? /x/", ""),
    ],
)
def test_how_many_files_are_copied(wherryd: Wherryd, instruction: str, error: str) -> None:
    """Docker's first builder counts what is found, BuildKit does not."""
    files = {"f1": b"1", "f2": b"2"}
    messages = build(wherryd, "", context(f"FROM busybox\n{instruction}\n", **files))
    assert messages[-1].get("error", "") == error.format(instruction.partition(" ")[0])
    said_last = "Successfully built" if not error else f"Step 2/2 : {instruction}"
    assert said_last in said(messages)


def test_the_cli(wherryd: Wherryd, project: Path, tmp_path: Path) -> None:
    assert "Successfully tagged built:1" in cli(wherryd, "-t", "built:1", str(project)).stdout
    assert run(wherryd, "built:1", "cat", "/f") == "from the context\n"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", cli(wherryd, "-q", str(project)).stdout)
    cli(wherryd, "--iidfile", str(tmp_path / "iid"), str(project))
    assert (tmp_path / "iid").read_text() == wherryd.get("/images/built:1/json").json["Id"]
    other = tmp_path / "Other"
    other.write_text("FROM busybox\nCOPY f /other\n")
    cli(wherryd, "-t", "built:2", "-f", str(other), str(project))
    assert run(wherryd, "built:2", "cat", "/other") == "from the context\n"
    cli(wherryd, "-t", "built:3", "-f", "-", str(project), stdin=b"FROM busybox\nCOPY f /piped\n")
    assert run(wherryd, "built:3", "cat", "/piped") == "from the context\n"
    cli(wherryd, "-t", "built:4", "-", stdin=b"FROM busybox\nRUN echo alone > /x\n")
    assert run(wherryd, "built:4", "cat", "/x") == "alone\n"
    cli(wherryd, "-t", "built:5", "-", stdin=gzip.compress(context(SIMPLE, f=b"zipped\n")))
    assert run(wherryd, "built:5", "cat", "/f") == "zipped\n"


def test_what_the_cli_says_of_failures(wherryd: Wherryd, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM busybox\nRUN exit 7\n")
    failed = cli(wherryd, str(project), check=False)
    assert failed.returncode == 7
    assert "The command '/bin/sh -c exit 7' returned a non-zero code: 7" in failed.stderr
    (project / "Dockerfile").write_text("FROM busybox\nNOPE x\n")
    failed = cli(wherryd, str(project), check=False)
    assert failed.returncode == 1
    assert "dockerfile parse error on line 2: unknown instruction: NOPE" in failed.stderr


def test_ignored_files(wherryd: Wherryd, project: Path) -> None:
    (project / ".dockerignore").write_text("Dockerfile\n.dockerignore\nhidden\n")
    (project / "hidden").write_text("x")
    (project / "Dockerfile").write_text("FROM busybox\nCOPY . /all\nRUN ls -A /all > /list\n")
    cli(wherryd, "-t", "built:1", str(project))
    assert run(wherryd, "built:1", "cat", "/list") == "f\n"


def test_docker_py(docker_py: Client, project: Path) -> None:
    (project / "Dockerfile").write_text(
        "FROM busybox AS base\nARG A\nRUN echo $A > /a; df /dev/shm | tail -1 > /shm; cat /etc/hosts > /h\n"
        "FROM base\nRUN false\n"
    )
    image, lines = docker_py.images.build(
        path=str(project),
        tag="built:1",
        buildargs={"A": "given"},
        labels={"l": "v"},
        target="base",
        shmsize=1 << 20,
        extra_hosts={"extrahost.local": "127.0.0.5"},
        network_mode="none",
        container_limits={"memory": 64 << 20, "cpushares": 2},
        pull=False,
        rm=True,
        gzip=True,
    )
    assert image.tags == ["built:1"]
    assert image.labels == {"l": "v"}
    assert any("Step 1/" in line.get("stream", "") for line in lines)
    seen = docker_py.containers.run(image.id, ["cat", "/a", "/shm", "/h"], remove=True).decode()
    assert seen.startswith("given\nshm ")
    assert seen.split("\n")[1].split()[1] == "1024"
    assert "127.0.0.5\textrahost.local" in seen


def test_docker_py_takes_a_dockerfile_alone_and_archives(docker_py: Client) -> None:
    image, _ = docker_py.images.build(fileobj=io.BytesIO(b"FROM busybox\nCMD echo alone\n"))
    assert docker_py.containers.run(image.id, remove=True) == b"alone\n"
    archive = io.BytesIO(gzip.compress(context(SIMPLE, f=b"mine")))
    image, _ = docker_py.images.build(fileobj=archive, custom_context=True, encoding="gzip", quiet=True)
    assert docker_py.containers.run(image.id, ["cat", "/f"], remove=True) == b"mine"


def test_docker_py_failures(docker_py: Client) -> None:
    with pytest.raises(errors.BuildError, match="returned a non-zero code: 3") as failure:
        docker_py.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN echo why; exit 3\n"))
    assert "why\n" in [line.get("stream") for line in failure.value.build_log]
    with pytest.raises(errors.APIError, match="dockerfile parse error"):
        docker_py.images.build(fileobj=io.BytesIO(b"FROM busybox\nNOPE\n"))
    with pytest.raises(errors.APIError, match="squash is only supported with experimental mode"):
        docker_py.images.build(fileobj=io.BytesIO(b"FROM busybox\n"), squash=True)
    with pytest.raises(errors.BuildError, match=r"COPY failed: .* stat nope: file does not exist"):
        docker_py.images.build(fileobj=io.BytesIO(b"FROM busybox\nCOPY nope /\n"))


async def test_aiodocker(aio: Docker) -> None:
    archive = io.BytesIO(gzip.compress(context(SIMPLE, f=b"aio\n")))
    lines = await aio.images.build(fileobj=archive, encoding="gzip", tag="built:1", labels={"l": "v"})
    assert "Successfully tagged built:1\n" in [line.get("stream") for line in lines]
    assert (await aio.images.inspect("built:1"))["Config"]["Labels"] == {"l": "v"}
    assert (await aio.images.prune_builds(all_builds=True))["CachesDeleted"]


class _Files(http.server.BaseHTTPRequestHandler):
    files: dict[str, tuple[str, bytes]]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind, body = self.files.get(self.path, ("", b""))
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(files: dict[str, tuple[str, bytes]], asked: list[str]) -> Iterator[str]:
    """A web server with files, type and bytes by path, which notes what is asked for."""
    handler = type("Files", (_Files,), {"files": files, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_remote_contexts(wherryd: Wherryd) -> None:
    files = {
        "/Dockerfile": ("text/plain", b"FROM busybox\nRUN echo remote > /x\n"),
        "/context.tar.gz": ("application/gzip", gzip.compress(context(SIMPLE, f=b"fetched\n"))),
    }
    asked: list[str] = []
    with served(files, asked) as url:
        build(wherryd, f"t=built:1&remote={quote(url)}/Dockerfile")
        assert run(wherryd, "built:1", "cat", "/x") == "remote\n"
        build(wherryd, f"t=built:2&remote={quote(url)}/context.tar.gz")
        assert run(wherryd, "built:2", "cat", "/f") == "fetched\n"
        assert wherryd.call("POST", f"/build?remote={quote(url)}/nope").status >= 400
    assert asked == ["/Dockerfile", "/context.tar.gz", "/nope"]


def test_steps_are_told_in_order_though_they_run_side_by_side(wherryd: Wherryd) -> None:
    dockerfile = (
        "FROM busybox AS slow\nRUN sleep 1; echo slow\nFROM busybox AS quick\nRUN echo quick\n"
        "FROM busybox\nCOPY --from=slow /etc/passwd /1\nCOPY --from=quick /etc/passwd /2\n"
    )
    shown = said(build(wherryd, "", context(dockerfile)))
    assert shown.index("slow\n ---> Removed") < shown.index("Step 3/7") < shown.index("\nquick\n")


def test_the_output_of_a_step_is_told_at_once(wherryd: Wherryd) -> None:
    """The step ends once it was heard."""
    word = os.urandom(8).hex()
    connection = UnixConnection(wherryd.socket, 30)
    connection.request("POST", "/build", context(f"FROM busybox\nRUN echo begun; {UNTIL_GO}; echo {word}\n"))
    answer, seen = connection.getresponse(), b""
    while b'"begun\\n"' not in seen:
        seen += answer.readline()
    go_on(word)
    assert f'"{word}\\n"'.encode() in answer.read()
    connection.close()


def processes(word: str) -> list[str]:
    """The command lines that have it."""
    return [
        line.decode(errors="replace")
        for line in (_command(path) for path in Path("/proc").iterdir() if path.name.isdigit())
        if word.encode() in line
    ]


def _command(path: Path) -> bytes:
    try:
        return (path / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_client_that_goes_ends_its_build(wherryd: Wherryd) -> None:
    connection = UnixConnection(wherryd.socket, 30)
    connection.request("POST", "/build", context("FROM busybox\nRUN sleep 98765\n"))
    eventually(lambda: processes("98765"))
    connection.close()
    eventually(lambda: not processes("98765"))


def test_cancel(wherryd: Wherryd) -> None:
    connection = UnixConnection(wherryd.socket, 30)
    connection.request("POST", "/build?buildid=mine", context("FROM busybox\nRUN sleep 87654\n"))
    eventually(lambda: processes("87654"))
    assert wherryd.call("POST", "/build/cancel?id=mine").status == 200
    last = json.loads(connection.getresponse().read().splitlines()[-1])
    assert last["error"] == "Build cancelled"
    connection.close()
    eventually(lambda: not processes("87654"))


def test_events(wherryd: Wherryd) -> None:
    since = time.time()
    build(wherryd, "t=built:1&t=built:2", context("FROM busybox\nENV EVENTS=1\n"))
    wherryd.call("POST", "/build/prune")
    answer = wherryd.get(f"/events?since={since:.6f}&until={time.time() + 0.1:.6f}")
    told = [json.loads(line) for line in answer.body.splitlines()]
    names = [(each["Type"], each["Action"], each["Actor"]["Attributes"].get("name")) for each in told]
    assert names == [
        ("image", "tag", "built:1"),
        ("image", "tag", "built:2"),
        ("builder", "prune", None),
    ]
