"""Contexts and sources from git repositories, by a git daemon of this machine."""

import asyncio
import functools
import http.server
import os
import socket
import subprocess
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.build.contexts import git as fetching
from engine.build.contexts.contexts import Contexts
from engine.build.contexts.git_access import authorization
from engine.build.contexts.repository import Repository
from engine.build.given import GivenCredentials
from engine.build.refs import Tree
from engine.build.steps import GitSource
from errdefs import InvalidArgument, NotFound
from tests.integration.build.contexts.conftest import answers, git
from tests.waiting import eventually

pytestmark = pytest.mark.root
X = ["dir", "f", "module", "out", "up"]


async def test_a_repository_with_its_submodules(contexts: Contexts, repositories: tuple[str, Path]) -> None:
    url, _ = repositories
    async with contexts.from_remote(f"{url}/x.git", None) as fetched:
        assert sorted(os.listdir(fetched.directory)) == [".gitmodules", *X]
        assert (fetched.directory / "module/f").read_text() == "sub.git 1\n"
        assert os.listdir(fetched.directory / "module") == ["f"]
        assert (fetched.directory / "f").stat().st_mode & 0o777 == 0o644
        assert [path.name for path in fetched.directory.parent.iterdir()] == ["checkout"]


@pytest.fixture
def first(repositories: tuple[str, Path]) -> str:
    """The number of the first commit."""
    return git(repositories[1] / "x.git", "rev-parse", "heavy^{commit}")


@pytest.mark.parametrize(
    ("ref", "content"),
    [
        ("main", "2"),
        ("refs/heads/other", "2"),
        ("heavy", "1"),
        ("refs/tags/light", "1"),
        ("light", "2"),  # the branch of that name
        ("{first}", "1"),
    ],
)
async def test_a_ref(
    contexts: Contexts, repositories: tuple[str, Path], first: str, ref: str, content: str
) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git#{ref.format(first=first)}"), None) as directory:
        assert (directory / "f").read_text() == f"x.git {content}\n"


async def test_a_directory_of_a_repository(contexts: Contexts, repositories: tuple[str, Path]) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git#:dir/deep"), None) as directory:
        assert os.listdir(directory) == ["g"]


@pytest.mark.parametrize(
    "path", ["out", "up", "up/contexts", "nothing", "f", "../../..", "dir/../../..", ".git"]
)
async def test_no_directory_is_outside(contexts: Contexts, repositories: tuple[str, Path], path: str) -> None:
    url, _ = repositories
    try:
        async with contexts.git(GitSource(url=f"{url}/x.git#:{path}"), None) as directory:
            assert sorted(os.listdir(directory)) == [".gitmodules", *X]
    except InvalidArgument as error:
        assert "of the repository" in error.message  # noqa: PT017  a name within it is none


async def test_the_git_directory_is_kept_where_it_is_wanted(
    contexts: Contexts, repositories: tuple[str, Path], first: str
) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git#{first}", keep_git_dir=True), None) as directory:
        assert git(directory, "-c", "safe.directory=*", "rev-parse", "HEAD") == first
        assert not (directory / ".git/hooks").exists()


async def test_a_checksum(contexts: Contexts, repositories: tuple[str, Path], first: str) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git?ref=heavy&checksum={first[:12]}"), None) as directory:
        assert (directory / "f").read_text() == "x.git 1\n"
    with pytest.raises(InvalidArgument, match="expected checksum to match"):
        async with contexts.git(GitSource(url=f"{url}/x.git?ref=main&checksum={first}"), None):
            pass


@pytest.mark.parametrize("name", ["x.git#nothing", "none.git", "x.git#" + "0" * 40])
async def test_what_is_not_there(contexts: Contexts, repositories: tuple[str, Path], name: str) -> None:
    url, _ = repositories
    with pytest.raises(InvalidArgument, match=r"failed to fetch remote|does not contain ref"):
        async with contexts.git(GitSource(url=f"{url}/{name}"), None):
            pass


async def test_a_commit_that_is_known_is_fetched_once_it_is_needed(
    contexts: Contexts, repositories: tuple[str, Path]
) -> None:
    """A ref is looked up each time; what it is names what is fetched."""
    url, place = repositories
    source = GitSource(url=f"{url}/x.git#main", keep_git_dir=True)

    async def tree(held: AsyncExitStack) -> Tree:
        return await contexts.git_tree(source, None, held)

    async with AsyncExitStack() as held:
        first = await tree(held)
        assert isinstance(first.path, Path)
        known = await tree(held)
        assert known.content == first.content
        assert not isinstance(known.path, Path), "it is not there yet"
        assert (await known.place() / "f").read_text() == "x.git 2\n"
        assert await known.place() == await known.place()
        git(place / "x.git", "commit", "--allow-empty", "-qm", "three")
        moved = await tree(held)
        assert isinstance(moved.path, Path)
        assert moved.content != first.content
        late = await tree(held)
        git(place / "x.git", "commit", "--allow-empty", "-qm", "four")
        assert git(await late.place(), "-c", "safe.directory=*", "log", "-1", "--format=%s") == "three"
        without = await contexts.git_tree(GitSource(url=source.url), None, held)
        assert without.content not in (moved.content, first.content)


class Client(GivenCredentials):
    """A client with a secret, and an agent that answers at a path."""

    def __init__(self, secrets: dict[str, str], agent: str = "") -> None:
        super().__init__({})
        self._secrets = secrets
        self._agent = agent

    async def secret(self, name: str) -> bytes:
        if name not in self._secrets:
            raise NotFound(name)
        return self._secrets[name].encode()

    async def agent(self, name: str) -> bool:
        return bool(self._agent) and name == "default"

    async def forward_agent(
        self, name: str, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        answers, asking = await asyncio.open_unix_connection(self._agent)

        async def ask() -> None:
            while data := await read():
                asking.write(data)
            asking.write_eof()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ask())
                while data := await answers.read(1 << 16):
                    await write(data)
        finally:
            asking.close()


@pytest.fixture
def guarded(repositories: tuple[str, Path]) -> Iterator[str]:
    """A server of files that git can read, for user u with password p."""
    bare = repositories[1] / "bare.git"
    git(repositories[1], "clone", "-q", "--bare", "x.git", str(bare))
    git(bare, "update-server-info")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.headers.get("Authorization", "").lower() == f"basic {b64encode(b'u:p').decode()}".lower():
                super().do_GET()
            else:
                self.send_error(401)

    handler = functools.partial(Handler, directory=str(repositories[1]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}/bare.git?submodules=0"
        finally:
            server.shutdown()
            serving.join()


async def test_a_password_of_the_url_and_a_server_without_git(contexts: Contexts, guarded: str) -> None:
    async with contexts.git(GitSource(url=f"http://u:p@{guarded}", keep_git_dir=True), None) as directory:
        assert (directory / "f").read_text() == "x.git 2\n"
        assert "u:p" not in (directory / ".git/config").read_text()
        assert not [
            path
            for path in directory.parent.rglob("*")
            if path.name == "config" and "dTpw" in path.read_text()
        ]
    for url in (f"http://{guarded}", f"http://u:wrong@{guarded}"):
        with pytest.raises(InvalidArgument, match="failed to fetch remote") as raised:
            async with contexts.git(GitSource(url=url), None):
                pass
        assert "wrong" not in raised.value.message


async def test_secrets_are_for_their_hosts_by_https_alone() -> None:
    secrets = {"GIT_AUTH_TOKEN": "all", "GIT_AUTH_TOKEN.host": "one", "GIT_AUTH_HEADER.other": "Bearer two"}
    expected = {
        "https://host/a.git": b"x-access-token:one",
        "https://host:1/a.git": b"x-access-token:one",
        "https://third/a.git": b"x-access-token:all",
    }
    for remote, shown in expected.items():
        header = await authorization(Repository(remote=remote), Client(secrets))
        assert header == f"basic {b64encode(shown).decode()}"
    assert await authorization(Repository(remote="https://other/a.git"), Client(secrets)) == "Bearer two"
    for remote in ("http://host/a.git", "git://host/a.git", "git@host:a.git"):
        assert await authorization(Repository(remote=remote), Client(secrets)) == ""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """An SSH agent with a key called "mine"."""
    path = str(tmp_path / "a")
    running = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(socket.AF_UNIX, path))
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "mine", "-f", str(tmp_path / "key")], check=True)
        environment = {**os.environ, "SSH_AUTH_SOCK": path}
        subprocess.run(["ssh-add", "-q", str(tmp_path / "key")], env=environment, check=True)
        yield path
    finally:
        running.terminate()
        running.wait()


async def test_the_clients_agent_is_there_for_ssh(
    contexts: Contexts, agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here is no server of SSH: what runs in the client's place looks at the agent."""
    monkeypatch.setattr(fetching, "_SSH", f"ssh-add -l >{tmp_path}/seen; false")
    for session, seen in ((Client({}, agent), "mine"), (Client({}), "")):
        with pytest.raises(InvalidArgument, match=r"failed to fetch remote git@host:a\.git"):
            async with contexts.git(GitSource(url="git@host:a.git"), session):
                pass
        assert seen in (tmp_path / "seen").read_text()
        assert bool(seen) == bool((tmp_path / "seen").read_text())


async def test_nothing_goes_on_when_nobody_waits(contexts: Contexts) -> None:
    """The server takes the connection and says nothing: git waits, and so does its helper."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5), contexts.git(GitSource(url=url), None):
                pass
        assert not [line for line in processes() if url in line]


def processes() -> list[str]:
    """The arguments of all that run."""
    return subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True).stdout.decode().splitlines()


async def test_no_password_is_told(contexts: Contexts) -> None:
    with pytest.raises(InvalidArgument) as raised:
        async with contexts.git(GitSource(url="http://me:hidden@127.0.0.1:1/x.git"), None):
            pass
    assert "hidden" not in raised.value.message
    assert "http://127.0.0.1:1/x.git" in raised.value.message


async def test_a_submodule_is_no_way_to_files_of_the_host(
    contexts: Contexts, repositories: tuple[str, Path], tmp_path: Path
) -> None:
    url, place = repositories
    git(place / "x.git", "config", "-f", ".gitmodules", "submodule.module.url", f"file://{place}/sub.git")
    git(place / "x.git", "commit", "-qam", "three")
    with pytest.raises(InvalidArgument, match="transport 'file' not allowed"):
        async with contexts.git(GitSource(url=f"{url}/x.git"), None):
            pass
    async with contexts.git(GitSource(url=f"{url}/x.git?submodules=false"), None) as directory:
        assert os.listdir(directory / "module") == []


async def test_nothing_of_a_repository_is_executed(
    contexts: Contexts, repositories: tuple[str, Path], tmp_path: Path
) -> None:
    url, place = repositories
    x = place / "x.git"
    mark = tmp_path / "executed"
    (x / ".gitattributes").write_text("* filter=bad diff=bad\n")
    (x / ".gitconfig").write_text(f'[filter "bad"]\n\tsmudge = touch {mark}\n')
    (x / "hooks").mkdir()
    (x / "hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (x / "hooks/post-checkout").chmod(0o755)
    git(x, "add", ".")
    git(x, "commit", "-qm", "three")
    async with contexts.git(GitSource(url=f"{url}/x.git", keep_git_dir=True), None):
        pass
    assert not mark.exists()
