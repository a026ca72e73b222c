"""The same inputs make the same image, wherever and whenever it is made."""

import shutil
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.projects.conftest import Build, write

pytestmark = pytest.mark.root

EPOCH = 1_700_000_000
FILES = {
    "Dockerfile": """\
FROM gcc:14 AS build
ARG SOURCE_DATE_EPOCH
WORKDIR /src
COPY main.c ./
RUN gcc -static -s -o /main main.c && touch -d @$SOURCE_DATE_EPOCH /main

FROM busybox
WORKDIR /srv/data
COPY --from=build /main /usr/local/bin/
COPY --chown=5:6 data ./
COPY --link <<text /etc/motd
made by nobody
text
ADD archive.tar /unpacked/
""",
    "main.c": "int main(void) { return 0; }\n",
    "data/a/b": "b",
    "data/c": "c",
}


def test_two_builds_are_one_image(wherryd: Wherryd, build: Build, tmp_path: Path) -> None:
    """From two directories, with nothing cached, with the times that SOURCE_DATE_EPOCH has them say."""
    first = write(tmp_path / "first", FILES)
    shutil.make_archive(str(first / "archive"), "tar", first / "data")
    second = tmp_path / "elsewhere" / "second"
    shutil.copytree(first, second, copy_function=shutil.copy2)
    args = ("--no-cache", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}")
    build(first, *args, "-t", "made:1")
    wherryd.docker("builder", "prune", "-af")
    build(second, *args, "-t", "made:2")
    one, two = (wherryd.get(f"/images/made:{tag}/json").json for tag in (1, 2))
    assert one["RootFS"] == two["RootFS"]
    assert one["Id"] == two["Id"]
    assert one["Created"].startswith("2023-11-14T22:13:20")
    assert wherryd.docker("run", "--rm", "made:1", "main").stdout == ""
