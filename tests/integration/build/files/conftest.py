"""The workers of builds by themselves, on plain directories and on overlays."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.copying.workers import Workers
from tests.integration.build.files.trees import OLD
from tests.own_process import nothing_left


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """Workers, ended with the test."""
    made = Workers()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """Fail a test that leaves a child process or a descriptor."""
    with nothing_left():
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A context: f, d/ with g (setuid), a hard link to it, a link, and sub/h; links at the top, and archives."""
    top = tmp_path / "source"
    (top / "d/sub").mkdir(parents=True)
    for name, content in (("f", "1\n"), ("d/g", "2\n"), ("d/sub/h", "3\n"), ("empty", "")):
        (top / name).write_text(content)
    (top / "d/g").chmod(0o4711)
    os.link(top / "d/g", top / "d/hard")
    for name, target in (("d/l", "g"), ("top", "d/g"), ("abs", "/f"), ("dang", "/no/where")):
        (top / name).symlink_to(target)
    (top / "d/sub").chmod(0o750)
    (top / "d").chmod(0o700)
    for each in (top / "f", top / "d/g", top / "d/sub/h", top / "d/sub", top / "d"):
        os.utime(each, (OLD, OLD))
    return top
