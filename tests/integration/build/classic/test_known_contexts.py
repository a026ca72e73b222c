"""Contexts of the classic API that come again: they are unpacked only if a step needs their files."""

import json
import os
from collections.abc import Mapping
from typing import Any

import pytest

from tests.bench.client import Connection
from tests.daemon import Wherryd
from tests.integration.images.archives import tar

pytestmark = pytest.mark.root


def build(daemon: Wherryd, query: str, body: bytes) -> list[dict[str, Any]]:
    """The messages of a build."""
    answer = daemon.call("POST", f"/build?{query}", body, headers={"Content-Type": "application/x-tar"})
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def image(messages: list[dict[str, Any]]) -> str:
    """The id of what was built."""
    return str([each["aux"]["ID"] for each in messages if "aux" in each][-1])


def context(dockerfile: str, files: Mapping[str, bytes]) -> bytes:
    return tar({"Dockerfile": dockerfile.encode(), **files})


def test_the_same_archive_again_makes_the_same_image(wherryd: Wherryd) -> None:
    archive = context("FROM busybox\nCOPY f /f\nRUN cat /f >/g\n", {"f": b"known\n"})
    first, again = build(wherryd, "t=known", archive), build(wherryd, "t=known", archive)
    assert image(first) == image(again)
    assert sum(each.get("stream") == " ---> Using cache\n" for each in again) == 2


def test_what_is_known_is_told_in_one_piece(wherryd: Wherryd) -> None:
    archive = context("FROM busybox\nCOPY f /f\nRUN cat /f >/g\nENV A=b\n", {"f": b"known\n"})
    build(wherryd, "t=known", archive)
    with Connection(wherryd.socket) as client:
        client.send("POST", "build?t=known", archive)
        piece = client.sock.recv(1 << 20)
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
    assert piece.count(b" ---> Using cache") == 3
    assert b"Successfully tagged known:latest" in piece


def test_a_known_archive_is_unpacked_for_steps_that_run(wherryd: Wherryd) -> None:
    archive = context("FROM busybox\nCOPY f /f\nCOPY d /d\n", {"f": b"needed\n", "d/e": b"too\n"})
    build(wherryd, "t=known", archive)
    wherryd.call("DELETE", "/images/known?force=1")
    wherryd.call("POST", "/build/prune?all=1")
    for query in ("t=known", "t=known&nocache=1"):
        assert not any("errorDetail" in each for each in build(wherryd, query, archive))
        shown = wherryd.docker("run", "--rm", "--network", "none", "known", "cat", "/f", "/d/e").stdout
        assert shown == "needed\ntoo\n"


def test_the_name_of_the_dockerfile_counts(wherryd: Wherryd) -> None:
    files = {"other": b"FROM busybox\nCOPY . /all\n", "f": b"", ".dockerignore": b"other\nDockerfile\n"}
    archive = context("FROM busybox\nCOPY . /all\n", files)
    for name, left in (("Dockerfile", "other"), ("other", "Dockerfile")) * 2:
        build(wherryd, f"t=known&dockerfile={name}", archive)
        shown = wherryd.docker("run", "--rm", "--network", "none", "known", "ls", "-A", "/all").stdout
        assert left in shown.split()
        assert name not in shown.split()


def test_what_a_pattern_finds_is_counted_anew(wherryd: Wherryd) -> None:
    files = {"other": b"FROM busybox\nCOPY *.txt /f\n", "a.txt": b"", "b.txt": b""}
    archive = context("FROM busybox\nCOPY *.txt /d/\n", files)
    build(wherryd, "t=known", archive)
    for _ in range(2):
        failed = build(wherryd, "t=known&dockerfile=other", archive)
        assert "more than one source file" in failed[-1]["error"]


def test_a_bad_archive_is_refused_each_time(wherryd: Wherryd) -> None:
    archive = context("FROM busybox\nCOPY . /all\n", {"../out": b"x"})
    for _ in range(2):
        answer = wherryd.call("POST", "/build?t=bad", archive, headers={"Content-Type": "application/x-tar"})
        assert answer.status == 400
        assert b"outside of" in answer.body


def test_no_directory_is_left(wherryd: Wherryd) -> None:
    archive = context("FROM busybox\nCOPY missing /f\n", {"f": b"x"})
    for _ in range(2):
        messages = build(wherryd, "t=known", archive)
        assert "missing: file does not exist" in messages[-1]["error"]
    contexts = wherryd.data_root / "build/contexts"
    assert not contexts.exists() or os.listdir(contexts) == []
