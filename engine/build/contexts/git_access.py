"""What git is told of where it may go and whom it may show itself as: its configuration, and the client's agent."""

import base64
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import errdefs
from engine.build.contexts.repository import Repository
from engine.build.run import agents
from engine.build.session import Session
from engine.build.steps import RunMount
from runtime.spec.identity import HOST

_CONFIG = """\
[core]
	hooksPath = /dev/null
	fsmonitor = false
	symlinks = true
	logAllRefUpdates = false
[init]
	defaultBranch = master
[advice]
	detachedHead = false
[gc]
	auto = 0
[maintenance]
	auto = false
[submodule]
	fetchJobs = 2
[protocol]
	allow = never
[protocol "https"]
	allow = always
[protocol "http"]
	allow = always
[protocol "ssh"]
	allow = always
[protocol "git"]
	allow = always
[http]
	lowSpeedLimit = 1000
	lowSpeedTime = 30
"""


async def configuration(repository: Repository, session: Session | None) -> str:
    """All that git may do, with what the remote is shown. InvalidArgument for a secret that is no header."""
    return _CONFIG + _of_header(repository.remote, await authorization(repository, session))


@asynccontextmanager
async def agent(repository: Repository, path: Path, session: Session | None) -> AsyncIterator[str]:
    """Where the client's SSH agent answers, "" if it is not needed or there is none."""
    asked = RunMount(kind="ssh", target="")
    by_ssh = not repository.remote.startswith(("https://", "http://", "git://"))
    if by_ssh and session is not None and await agents.has_agent(asked, session):
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            async with agents.listening(path, asked, session, HOST):
                # The way to a socket may have 107 bytes at most, and that to a data root has any number.
                yield f"/proc/{os.getpid()}/fd/{directory}/{path.name}"
        finally:
            os.close(directory)
    else:
        yield ""


async def authorization(repository: Repository, session: Session | None) -> str:
    """The header that a remote is shown, "" for none."""
    if repository.authorization is not None:
        return _basic(*repository.authorization)
    if session is None or not repository.remote.startswith("https://"):
        return ""
    host = re.split(r"[/:]", repository.remote.removeprefix("https://"), maxsplit=1)[0]
    for name in (f"GIT_AUTH_HEADER.{host}", "GIT_AUTH_HEADER", f"GIT_AUTH_TOKEN.{host}", "GIT_AUTH_TOKEN"):
        with suppress(errdefs.NotFound):
            secret = (await session.secret(name)).decode().strip()
            return secret if "HEADER" in name else _basic("x-access-token", secret)
    return ""


def _basic(user: str, password: str) -> str:
    return f"basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _of_header(remote: str, header: str) -> str:
    if not header:
        return ""
    if not header.isprintable():
        raise errdefs.InvalidArgument("the secret for a git repository is no header")
    origin = "/".join(remote.split("/")[:3])
    quoted = header.replace("\\", "\\\\").replace('"', '\\"')
    return f'[http "{origin}/"]\n\textraHeader = "Authorization: {quoted}"\n'
