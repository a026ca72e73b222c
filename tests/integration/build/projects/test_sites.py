"""A site that nginx serves, alone and beside an app: by docker build, compose and bake."""

import subprocess
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.projects.conftest import WAYS, Build, Fetch, write
from tests.integration.build.projects.test_programs import PYTHON

pytestmark = pytest.mark.root

SITE = {
    "Dockerfile": """\
FROM nginx
ARG GREETING=hello
COPY site.conf /etc/nginx/conf.d/
COPY public /var/www/html
RUN sed -i "s/GREETING/$GREETING/" /var/www/html/index.html && nginx -t
LABEL greeting=$GREETING
""",
    "site.conf": "charset utf-8;\n",
    "public/index.html": "<h1>GREETING</h1>",
}
COMPOSE = """\
services:
  site:
    build: {context: site, args: {GREETING: composed}}
    ports: ["127.0.0.1::80"]
  app:
    build: ./app
    ports: ["127.0.0.1::8080"]
    init: true
"""
BAKE = """\
variable "GREETING" { default = "baked" }
group "default" { targets = ["site", "app"] }
target "site" {
  context = "site"
  args = { GREETING = GREETING }
  tags = ["site:1", "site:latest"]
}
target "app" {
  context = "app"
  tags = ["app:1"]
}
"""


def run(wherryd: Wherryd, directory: Path, *argv: str) -> str:
    """The output of a command in a directory."""
    done = subprocess.run(
        argv, cwd=directory, env=wherryd.client_env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_site(wherryd: Wherryd, build: Build, fetch: Fetch, tmp_path: Path, way: str) -> None:
    """Its files are where the base has a volume, which they are in when a container begins."""
    build(write(tmp_path / "site", SITE), "-t", "site", "--build-arg", "GREETING=served", way=way)
    container = wherryd.docker("run", "-d", "-p", "127.0.0.1::80", "site").stdout.strip()
    try:
        assert fetch(container, 80) == "<h1>served</h1>"
    finally:
        wherryd.docker("rm", "-f", "-v", container)
    assert wherryd.get("/images/site/json").json["Config"]["Labels"] == {"greeting": "served"}


def test_composed(wherryd: Wherryd, fetch: Fetch, tmp_path: Path) -> None:
    write(tmp_path / "site", SITE)
    write(tmp_path / "app", PYTHON)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    compose = ("docker", "compose", "--project-name", "both")
    try:
        run(wherryd, tmp_path, *compose, "up", "--build", "--detach")
        assert fetch("both-site-1", 80) == "<h1>composed</h1>"
        assert "hello from app" in fetch("both-app-1", 8080)
        run(wherryd, tmp_path, *compose, "up", "--build", "--detach")
        assert fetch("both-site-1", 80) == "<h1>composed</h1>"
    finally:
        run(wherryd, tmp_path, *compose, "down", "--timeout", "0", "--volumes")


def test_baked(wherryd: Wherryd, tmp_path: Path) -> None:
    write(tmp_path / "site", SITE)
    write(tmp_path / "app", PYTHON)
    (tmp_path / "docker-bake.hcl").write_text(BAKE)
    run(wherryd, tmp_path, "docker", "buildx", "bake")
    run(wherryd, tmp_path, "docker", "buildx", "bake", "site", "--set", "site.args.GREETING=set")
    page = ("cat", "/var/www/html/index.html")
    assert wherryd.docker("run", "--rm", "site:1", *page).stdout == "<h1>set</h1>"
    assert wherryd.docker("run", "--rm", "app:1", "id", "-un").stdout == "app\n"
