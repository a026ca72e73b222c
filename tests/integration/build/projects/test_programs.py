"""Programs of three languages, each as its Dockerfile is usually written."""

from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.projects.conftest import WAYS, Build, Fetch, write

pytestmark = pytest.mark.root

PYTHON = {
    "Dockerfile": """\
FROM python:3
WORKDIR /usr/local/app
ENV PYTHONUNBUFFERED=1
COPY requirements.txt ./
RUN test ! -s requirements.txt && echo app:x:1000:1000::/:/bin/sh >> /etc/passwd
COPY app.py ./
RUN python3 -m compileall -q .
EXPOSE 8080
USER app
CMD ["python3", "app.py"]
""",
    "requirements.txt": "",
    "app.py": """\
import getpass, http.server, os

class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"hello from {getpass.getuser()} in {os.getcwd()}".encode())

http.server.HTTPServer(("", 8080), Hello).serve_forever()
""",
}
C = {
    "Dockerfile": """\
FROM gcc:14 AS build
WORKDIR /src
COPY *.h *.c ./
RUN gcc -Os -c greet.c && gcc -Os -c main.c
RUN gcc -static -s -o /greet main.o greet.o

FROM scratch
COPY --from=build /greet /greet
ENTRYPOINT ["/greet"]
CMD ["world"]
""",
    "greet.h": 'void greet(const char *who);\n#define GREETING "hello"\n',
    "greet.c": '#include <stdio.h>\n#include "greet.h"\n'
    'void greet(const char *who) { printf(GREETING ", %s\\n", who); }\n',
    "main.c": '#include "greet.h"\nint main(int count, char **words) { greet(words[1]); return count - 2; }\n',
}
NODE = {
    "Dockerfile": """\
FROM node:20
WORKDIR /home/node/app
COPY package*.json ./
COPY . .
EXPOSE 3000
USER nobody
CMD ["node", "server.js"]
""",
    ".dockerignore": "node_modules\n*.md\n",
    "package.json": '{"name": "app", "version": "1.2.3", "type": "commonjs", "main": "server.js"}\n',
    "server.js": """\
const { version } = require('./package.json');
const files = require('fs').readdirSync('.').join(' ');
require('http').createServer((_, answer) => answer.end(`${version} ${files}`)).listen(3000);
""",
    "README.md": "not for the image\n",
    "node_modules/x/index.js": "throw new Error()\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_an_app_in_python(wherryd: Wherryd, build: Build, fetch: Fetch, tmp_path: Path, way: str) -> None:
    project = write(tmp_path / "app", PYTHON)
    build(project, "-t", "app", way=way)
    container = wherryd.docker("run", "-d", "--init", "-p", "127.0.0.1::8080", "app").stdout.strip()
    try:
        assert fetch(container, 8080) == "hello from app in /usr/local/app"
    finally:
        wherryd.docker("rm", "-f", container)
    write(project, {"app.py": PYTHON["app.py"].replace("hello", "hi")})
    again = build(project, "-t", "app", way=way)
    assert (again.stdout + again.stderr).count("Using cache" if way == "0" else "CACHED") in (3, 4)
    assert "hi from" in wherryd.docker("run", "--rm", "app", "cat", "app.py").stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_program_in_c_without_its_compiler(
    wherryd: Wherryd, build: Build, tmp_path: Path, way: str
) -> None:
    project = write(tmp_path / "greet", C)
    build(project, "-t", "greet", way=way)
    assert wherryd.docker("run", "--rm", "greet").stdout == "hello, world\n"
    assert wherryd.docker("run", "--rm", "greet", "you").stdout == "hello, you\n"
    image = wherryd.get("/images/greet/json").json
    assert len(image["RootFS"]["Layers"]) == 1
    assert image["Size"] < 2_000_000
    write(project, {"greet.h": C["greet.h"].replace("hello", "bye")})
    build(project, "-t", "greet", way=way)
    assert wherryd.docker("run", "--rm", "greet").stdout == "bye, world\n"


@pytest.mark.usefixtures("node")
def test_an_app_in_node(wherryd: Wherryd, build: Build, fetch: Fetch, tmp_path: Path) -> None:
    build(write(tmp_path / "app", NODE), "-t", "app")
    container = wherryd.docker("run", "-d", "--init", "-p", "127.0.0.1::3000", "app").stdout.strip()
    try:
        assert fetch(container, 3000) == "1.2.3 .dockerignore Dockerfile package.json server.js"
    finally:
        wherryd.docker("rm", "-f", container)
