"""What people do with `docker build`, by buildx and BuildKit's API."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.build.buildkit.conftest import Build
from tests.processes import processes
from tests.waiting import eventually

pytestmark = pytest.mark.root

BASE = "FROM busybox\n"


def test_an_image_is_built_and_runs(wherryd: Wherryd, build: Build, project: Path) -> None:
    (project / "app").write_text("#!/bin/sh\necho served\n")
    (project / "app").chmod(0o755)
    iid, facts = project.parent / "iid", project.parent / "facts"
    done = build(
        BASE + 'COPY app /app\nRUN echo made > /made\nCMD ["/app"]\n',
        *("-t", "app:1", "-t", "app:2", "--iidfile", str(iid), "--metadata-file", str(facts)),
    )
    assert "[3/3] RUN echo made > /made" in done.stderr
    assert wherryd.docker("run", "--rm", "app:1").stdout == "served\n"
    assert wherryd.docker("run", "--rm", "app:2", "cat", "/made").stdout == "made\n"
    image = wherryd.docker("inspect", "--format", "{{.Id}}", "app:1").stdout.strip()
    assert iid.read_text() == image
    told = json.loads(facts.read_text())
    assert told["containerimage.config.digest"] == image
    assert told["image.name"] == "docker.io/library/app:1,docker.io/library/app:2"
    again = wherryd.docker("buildx", "build", "-q", str(project))
    assert again.stdout.strip() == image


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("BAD x", "unknown instruction: BAD"),
        ("RUN exit 3", 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3'),
        ("COPY nothing /", '"/nothing": not found'),
        ("COPY --from=nobody:1 / /", "nobody:1"),
    ],
)
def test_a_failure_shows_its_line(build: Build, line: str, text: str) -> None:
    done = build(BASE + f"\n{line}\n\nRUN true\n", check=False)
    assert done.returncode != 0
    assert text in done.stderr
    assert f"   3 | >>> {line}" in done.stderr
    assert "ERROR: failed to" in done.stderr


def test_every_step_begins_once_and_ends(wherryd: Wherryd, build: Build, project: Path) -> None:
    (project / "f").write_text("x")
    (project / "Dockerfile").write_text(BASE + "COPY f /\nRUN for i in 1 2 3; do echo $i; sleep 0.1; done\n")
    done = wherryd.docker("buildx", "build", "--progress=rawjson", "--no-cache", str(project))
    started: dict[str, set[str]] = defaultdict(set)
    completed: dict[str, str] = {}
    output = b""
    for told in documents(done.stderr):
        for vertex in told.get("vertexes") or []:
            if "started" in vertex:
                started[vertex["digest"]].add(vertex["started"])
            if "completed" in vertex:
                completed[vertex["digest"]] = vertex["completed"]
        for log in told.get("logs") or []:
            output += base64.b64decode(log["data"])
    assert len(started) > 5
    assert set(started) == set(completed)
    assert all(len(times) == 1 for times in started.values())
    assert output == b"1\n2\n3\n"


def documents(text: str) -> Iterator[dict[str, Any]]:
    """One behind the other, each on as many lines as it likes."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        found, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        yield found


def test_secrets_and_agents_are_lent(wherryd: Wherryd, build: Build, project: Path) -> None:
    secret = project.parent / "secret"
    secret.write_text("hush-hush")
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    socket = agent.partition("SSH_AUTH_SOCK=")[2].partition(";")[0]
    pid = int(agent.partition("SSH_AGENT_PID=")[2].partition(";")[0])
    try:
        done = build(
            BASE
            + "RUN --mount=type=secret,id=s test $(wc -c < /run/secrets/s) = 9\n"
            + "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo an agent\n",
            *("--secret", f"id=s,src={secret}", "--ssh", f"default={socket}", "-t", "lent"),
        )
    finally:
        os.kill(pid, signal.SIGTERM)
    assert "an agent" in done.stderr
    assert "hush-hush" not in wherryd.docker("history", "--no-trunc", "lent").stdout
    missing = build(BASE + "RUN --mount=type=secret,id=t,required cat /run/secrets/t\n", check=False)
    assert "secret t: not found" in missing.stderr
    assert "hush-hush" not in wherryd.log_tail(10_000)


def test_contexts_targets_and_arguments(build: Build, wherryd: Wherryd, project: Path) -> None:
    other = project.parent / "other"
    other.mkdir()
    (other / "o").write_text("other")
    build(
        "FROM busybox AS one\nARG A=x\nRUN echo $A > /a\nCOPY --from=named o /o\nFROM one AS two\nRUN exit 1\n",
        *("--target", "one", "--build-arg", "A=y", "--build-context", f"named={other}", "-t", "one"),
        *("--label", "l=v", "--add-host", "h:1.2.3.4"),
    )
    assert wherryd.docker("run", "--rm", "one", "cat", "/a", "/o").stdout == "y\nother"
    assert wherryd.docker("inspect", "--format", "{{.Config.Labels.l}}", "one").stdout == "v\n"


@pytest.fixture
def layout(wherryd: Wherryd, build: Build, project: Path) -> Path:
    """A directory that has an image in OCI's layout, of two layers; the daemon knows nothing of them any more."""
    archive, place = project.parent / "laid.tar", project.parent / "laid"
    build(BASE + "RUN echo laid > /laid\nENV OF=layout\n", "-o", f"type=oci,dest={archive}")
    with tarfile.open(archive) as tar:
        tar.extractall(place, filter="data")
    wherryd.docker("buildx", "prune", "--force", "--all")
    return place


def test_images_of_a_layout(wherryd: Wherryd, build: Build, layout: Path) -> None:
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    context = f"made=oci-layout://{layout}@{entry['digest']}"
    dockerfile = (
        "FROM made AS base\nRUN echo $OF >> /laid\n"
        "FROM busybox\nCOPY --from=base /laid /\nCOPY --from=made /laid /too\n"
    )
    done = build(dockerfile, "--build-context", context, "-t", "of-layout")
    assert f"[context made] load metadata for docker.io/library/made@{entry['digest']}" in done.stderr
    assert "[context made] OCI load from client" in done.stderr
    shown = wherryd.docker("run", "--rm", "of-layout", "cat", "/laid", "/too").stdout
    assert shown == "laid\nlayout\nlaid\n"
    assert "made" not in wherryd.docker("images").stdout
    again = build(dockerfile, "--build-context", context, "-t", "of-layout")
    assert again.stderr.count("CACHED") >= 3


def test_a_layout_with_other_content(build: Build, layout: Path) -> None:
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    blobs = layout / "blobs/sha256"
    (manifest,) = json.loads((blobs / entry["digest"][7:]).read_text()).get("manifests", [entry])[:1]
    layer = json.loads((blobs / manifest["digest"][7:]).read_text())["layers"][-1]
    file = blobs / layer["digest"][7:]
    whole = file.read_bytes()
    context = ("--build-context", f"made=oci-layout://{layout}@{entry['digest']}")
    for content in (whole[:-1] + b"x", whole + b"x", whole[:-1]):
        file.write_bytes(content)
        done = build("FROM made\nRUN true\n", *context, check=False)
        assert done.returncode != 0
        assert layer["digest"] in done.stderr
    file.unlink()
    assert "not found" in build("FROM made\nRUN true\n", *context, check=False).stderr
    file.write_bytes(whole)
    build("FROM made\nRUN true\n", *context)
    missing = f"made=oci-layout://{layout}@sha256:{'0' * 64}"
    assert "not found" in build("FROM made\n", "--build-context", missing, check=False).stderr


def test_contexts_that_are_piped_in(wherryd: Wherryd, project: Path) -> None:
    (project / "f").write_text("piped")
    (project / "Dockerfile").write_text(BASE + "COPY f /f\n")
    archive = project.parent / "context.tar"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(project, arcname=".")
    wherryd.docker("buildx", "build", "-t", "piped", "-", stdin=archive)
    assert wherryd.docker("run", "--rm", "piped", "cat", "/f").stdout == "piped"
    lines = (BASE + "RUN echo alone > /f\n").encode()
    wherryd.docker("buildx", "build", "-t", "alone", "-", stdin=lines)
    assert wherryd.docker("run", "--rm", "alone", "cat", "/f").stdout == "alone\n"
    wherryd.docker(
        "buildx", "build", "-t", "both", "-f", "-", str(project), stdin=BASE.encode() + b"COPY f /g\n"
    )
    assert wherryd.docker("run", "--rm", "both", "cat", "/g").stdout == "piped"


def test_results_go_where_they_are_wanted(build: Build, wherryd: Wherryd, project: Path) -> None:
    place = project.parent / "results"
    dockerfile = BASE + "RUN mkdir /d && echo x > /d/f && ln -s f /d/l\n"
    build("FROM scratch\nCOPY Dockerfile /d/\n", "-o", f"type=local,dest={place / 'local'}")
    assert (place / "local" / "d" / "Dockerfile").read_text().startswith("FROM scratch")
    place.mkdir(exist_ok=True)
    build(dockerfile, "-o", f"type=tar,dest={place / 'tar'}")
    with tarfile.open(place / "tar") as tar:
        assert tar.getmember("d/l").linkname == "f"
    build(dockerfile, "-t", "loaded:1", "-o", f"type=docker,dest={place / 'docker'}")
    wherryd.docker("load", "-i", str(place / "docker"))
    assert wherryd.docker("run", "--rm", "loaded:1", "cat", "/d/l").stdout == "x\n"
    build(dockerfile, "-o", f"type=oci,dest={place / 'oci'}")
    with tarfile.open(place / "oci") as tar:
        assert "index.json" in tar.getnames()
    standard = build(dockerfile, "-o", "-")
    assert "d/f" in standard.stdout


def test_bake_builds_one_target_on_another(wherryd: Wherryd, project: Path) -> None:
    (project / "docker-bake.json").write_text(
        json.dumps(
            {
                "group": {"default": {"targets": ["upper", "side"]}},
                "target": {
                    "lower": {"dockerfile-inline": BASE + "RUN echo lower > /l\n"},
                    "upper": {
                        "dockerfile-inline": "FROM base\nRUN cat /l > /u\n",
                        "contexts": {"base": "target:lower"},
                        "tags": ["upper"],
                    },
                    "side": {"dockerfile-inline": BASE + "RUN echo side\n", "tags": ["side"]},
                },
            }
        )
    )
    for _ in range(2):  # made, and from the cache
        done = subprocess.run(
            ["docker", "buildx", "bake", "--progress=plain"],
            cwd=project,
            env=wherryd.client_env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert wherryd.docker("run", "--rm", "upper", "cat", "/u").stdout == "lower\n"


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker compose")
def test_compose_builds_its_services(wherryd: Wherryd, project: Path) -> None:
    (project / "compose.yaml").write_text(
        "services:\n"
        "  one:\n    image: one:1\n    build: {context: ., args: {A: first}}\n"
        "  two:\n    image: two:1\n    build: {context: ., args: {A: second}}\n"
    )
    (project / "Dockerfile").write_text(BASE + "ARG A\nRUN echo $A > /a\n")
    argv = ["docker", "compose", "--project-directory", str(project), "build"]
    done = subprocess.run(argv, env=wherryd.client_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert wherryd.docker("run", "--rm", "one:1", "cat", "/a").stdout == "first\n"
    assert wherryd.docker("run", "--rm", "two:1", "cat", "/a").stdout == "second\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_goes_away_ends_its_build(
    wherryd: Wherryd, project: Path, number: signal.Signals
) -> None:
    seconds = random.randrange(10**6, 10**7)
    (project / "Dockerfile").write_text(BASE + f"RUN echo begun; sleep {seconds}\n")
    argv = ["docker", "buildx", "build", "--progress=plain", "--no-cache", str(project)]

    def sleepers() -> list[int]:
        return [pid for pid, each in processes().items() if each.command == f"sleep {seconds}"]

    client = subprocess.Popen(argv, env=wherryd.client_env, stderr=subprocess.PIPE, text=True)
    try:
        assert client.stderr is not None
        for line in client.stderr:
            if line.rstrip().endswith("begun"):
                break
        eventually(sleepers)
        client.send_signal(number)
        client.communicate(timeout=20)
        eventually(lambda: not sleepers())
    finally:
        client.kill()
        client.communicate()


def test_memory_stays_flat_with_a_large_context(wherryd: Wherryd, build: Build, project: Path) -> None:
    build(BASE)
    with (project / "large").open("wb") as file:
        file.truncate(400 << 20)
    for number in range(2000):
        (project / f"small{number}").write_text(str(number))
    before = resident(wherryd)
    build(BASE + "RUN --mount=type=bind,target=/c test $(ls /c | wc -l) = 2002\n")
    assert resident(wherryd) - before < 64 << 20


def resident(wherryd: Wherryd) -> int:
    """The most memory that the daemon had, in bytes."""
    status = Path(f"/proc/{wherryd.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_the_builder_is_shown(wherryd: Wherryd, build: Build) -> None:
    build(BASE + f"RUN echo {time.time()}\n")
    shown = wherryd.docker("buildx", "inspect").stdout
    assert "Status:           running" in shown
    assert "linux/" in shown
    assert "org.mobyproject.buildkit.worker.snapshotter" in shown
    assert "running" in wherryd.docker("buildx", "ls").stdout
    usage = wherryd.docker("buildx", "du", "--verbose").stdout
    assert "RUN echo" in usage
    assert "Total:" in wherryd.docker("buildx", "prune", "--force", "--all").stdout
    assert "RUN echo" not in wherryd.docker("buildx", "du", "--verbose").stdout


def test_what_is_not_served_is_said_by_name(build: Build) -> None:
    done = build("# syntax=example.com/other/frontend:1\nFROM busybox\n", check=False)
    assert done.returncode != 0
    assert "is not supported" in done.stderr
    done = build(BASE, "--allow", "security.insecure", check=False)
    assert "security.insecure is not allowed by build daemon configuration" in done.stderr


def test_docker_dockerfile_is_read_without_it(build: Build) -> None:
    build("# syntax=docker/dockerfile:1.7\nFROM busybox\nRUN <<E\necho here\nE\n")
