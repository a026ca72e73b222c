"""Packages that a step installs with apt, out of a repository in the context."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.projects.conftest import WAYS, Build, write

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("node")]

LOWER = """\
Package: lower
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.com>
Description: what the other one needs
"""
UPPER = LOWER.replace("lower", "upper") + "Depends: lower (>= 1.0)\n"
POSTINST = """\
#!/bin/sh
set -e
echo upper:x:777:777::/nonexistent:/bin/false >> /etc/passwd
install -d -o upper -m 2750 /var/lib/upper
ln -s /etc/upper.conf /var/lib/upper/conf
"""
DOCKERFILE = """\
FROM node:20
COPY repository /repository
RUN rm -f /etc/apt/sources.list.d/* && echo "deb [trusted=yes] file:/repository ./" > /etc/apt/sources.list
RUN apt-get update \\
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends upper \\
    && rm -rf /var/lib/apt/lists/*
CMD ["upper"]
"""


def package(place: Path, control: str, files: dict[str, str]) -> str:
    """Have a package in the repository; return its entry in the index."""
    name = control.split()[1]
    tree = write(place.parent / name, {"DEBIAN/control": control, **files})
    for path in tree.rglob("*"):
        path.chmod(0o755)
    made = place / f"{name}.deb"
    done = subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], capture_output=True)
    assert done.returncode == 0, done.stderr
    data = made.read_bytes()
    sums = f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    return f"{control}Filename: ./{made.name}\n{sums}\n"


@pytest.mark.parametrize("way", WAYS)
def test_packages_are_installed(wherryd: Wherryd, build: Build, tmp_path: Path, way: str) -> None:
    project = write(tmp_path / "project", {"Dockerfile": DOCKERFILE, "repository/README": "of packages\n"})
    place = project / "repository"
    index = package(place, LOWER, {"usr/share/lower/text": "installed\n"})
    program = "#!/bin/sh\ncat /usr/share/lower/text\nstat -c %U:%a /var/lib/upper\n"
    index += package(place, UPPER, {"usr/bin/upper": program, "DEBIAN/postinst": POSTINST})
    (place / "Packages").write_text(index)
    build(project, "-t", "packages", way=way)
    assert wherryd.docker("run", "--rm", "packages").stdout == "installed\nupper:2750\n"
    listed = wherryd.docker("run", "--rm", "packages", "dpkg", "-l", "upper", "lower").stdout
    assert listed.count("\nii ") == 2
