"""Builds by the docker CLI on both daemons, and what came out of them."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.daemon import PATH
from tests.peer.builds.case import BUILDKIT, Case
from tests.peer.builds.images import Image, read
from tests.peer.peer import Both

# buildx is told twice, and says which it heard first.
_FAILURE = re.compile(
    r"^ERROR: (?:failed to solve: |failed to run Build function: )?(.*)\Z", re.MULTILINE | re.DOTALL
)
_MARKED = re.compile(r"^ *(\d+) \| >>>", re.MULTILINE)
_HASH = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True)
class Built:
    """`image` is None if there is none; `failure` is why, and `lines` those of the Dockerfile that are shown for it."""

    image: Image | None
    failure: str
    lines: list[int]
    output: str


def build(both: Both, case: Case, builder: str, root: Path) -> tuple[Built, Built]:
    """Build it on wherry and on dockerd: (wherry's, dockerd's)."""
    case.write(root)
    ours = _build(both.wherryd.socket, case, builder, root)
    return ours, _build(both.peer.socket, case, builder, root)


def _build(socket: Path, case: Case, builder: str, root: Path) -> Built:
    home = root / f"home-{builder}"
    home.mkdir(exist_ok=True)
    env = {
        "PATH": PATH,
        "HOME": str(home),
        "DOCKER_HOST": f"unix://{socket}",
        "DOCKER_BUILDKIT": "1" if builder == BUILDKIT else "0",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        "BUILDKIT_PROGRESS": "plain",
    }
    name = f"corpus-{builder}-{case.name}".lower()
    context = [] if any("{context}" in option for option in case.options) else [str(root / "context")]
    command = ["docker", "build", "--no-cache", "-t", name, *case.arguments(root), *context]
    done = subprocess.run(
        command, capture_output=True, env=env, timeout=120, cwd=root / "context", check=False
    )
    output = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        return Built(None, _failure(output), [int(line) for line in _MARKED.findall(output)], output)
    saved = subprocess.run(["docker", "save", name], capture_output=True, env=env, timeout=60, check=True)
    subprocess.run(["docker", "rmi", "-f", name], capture_output=True, env=env, timeout=60, check=False)
    shutil.rmtree(home, ignore_errors=True)
    return Built(read(saved.stdout, classic=builder != BUILDKIT), "", [], output)


def _failure(output: str) -> str:
    found = _FAILURE.search(output)
    text = found[1] if found else output.strip().splitlines()[-1] if output.strip() else ""
    return _HASH.sub("…", text.strip())


def differences(ours: Image, theirs: Image) -> list[str]:
    """One line for each field and each entry that is not the same."""
    found = list(_values("config", ours.config, theirs.config))
    if len(ours.layers) != len(theirs.layers):
        return [*found, f"{len(ours.layers)} layers, dockerd: {len(theirs.layers)}"]
    for number, (mine, its) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
        found += _values(f"layer {number}", mine, its)
    return found


def _values(where: str, ours: object, theirs: object) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for key in dict.fromkeys([*theirs, *ours])
            for line in _values(f"{where}.{key}", ours.get(key, "(absent)"), theirs.get(key, "(absent)"))
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for number, (mine, its) in pairs for line in _values(f"{where}.{number}", mine, its)]
    return [] if ours == theirs else [f"{where}: {ours!r}, dockerd: {theirs!r}"]
