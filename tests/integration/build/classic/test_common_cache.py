"""Steps of the classic API that are found again by builds of BuildKit, and the other way."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root

DOCKERFILE = "FROM busybox\nCOPY one /a/\nADD d /b\nRUN cat /a/one /b/two >/c\nWORKDIR /w\nCOPY on* ./\n"
STEPS = 5
FOUND = {"0": " ---> Using cache", "1": r"#\d+ \[[2-6]/6\] .*\n#\d+ CACHED"}
"""How each builder tells of a step that was found."""


def build(daemon: Wherryd, project: Path, buildkit: str, *args: str) -> str:
    """What the CLI shows of a build."""
    env = {**daemon.client_env, "DOCKER_BUILDKIT": buildkit, "BUILDKIT_PROGRESS": "plain"}
    argv = ["docker", "build", *args, str(project)]
    done = subprocess.run(argv, capture_output=True, env=env, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("first", ["0", "1"])
def test_what_one_builder_did_the_other_does_not_do_again(
    wherryd: Wherryd, tmp_path: Path, first: str
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "one").write_text(f"one of {first}\n")
    (tmp_path / "d/two").write_text("two\n")
    ways = ["0", "1"] if first == "0" else ["1", "0"]
    build(wherryd, tmp_path, ways[0], "-t", "common:1")
    again = build(wherryd, tmp_path, ways[1], "-t", "common:2")
    assert len(re.findall(FOUND[ways[1]], again)) == STEPS, again
    layers = [
        wherryd.get(f"/v1.45/images/common:{number}/json").json["RootFS"]["Layers"] for number in (1, 2)
    ]
    assert layers[0] == layers[1]


def test_what_the_first_builder_does_not_take_it_does_not_take_from_the_cache(
    wherryd: Wherryd, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY *.txt nothing* /all\n")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("")
    build(wherryd, tmp_path, "1")
    assert "more than one source file" in build(wherryd, tmp_path, "0")


def test_owners_that_are_not_there_are_not_taken_from_the_cache_either(
    wherryd: Wherryd, tmp_path: Path
) -> None:
    """BuildKit gives to root what belongs to nobody, and to a user's own group what has none."""
    add = "RUN echo joe:x:7:8::/:/bin/sh >> /etc/passwd; echo joe:x:9: >> /etc/group"
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY --chown=nosuch Dockerfile /\n")
    build(wherryd, tmp_path, "1")
    assert "can't find uid for user nosuch: no such user: nosuch" in build(wherryd, tmp_path, "0")
    (tmp_path / "Dockerfile").write_text(
        f"FROM busybox\n{add}\nCOPY --chown=joe Dockerfile /\nRUN stat -c %u:%g /Dockerfile\n"
    )
    assert "7:8" in build(wherryd, tmp_path, "1")
    assert "7:9" in build(wherryd, tmp_path, "0")
    assert build(wherryd, tmp_path, "0").count("Using cache") == 3
