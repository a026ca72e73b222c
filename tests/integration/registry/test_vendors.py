"""ECR, GHCR and Harbor, played: login, pull, push, all tags, tokens that are forgotten, and no secret at a bucket."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.integration.registry.servers import serve
from tests.integration.registry.vendors import VENDORS, Ghcr, Harbor, Storage, Vendor
from tests.registries import DebianRegistry, digest_of

pytestmark = pytest.mark.root

LAYERS = [tar({"etc/what": b"of a vendor\n"}), tar({"etc/more": b"more\n" * 1000})]
ZIPPED = [gzip.compress(layer, 1, mtime=0) for layer in LAYERS]


@pytest.fixture(autouse=True)
def no_leftovers(wherryd: Wherryd, nothing_left_by_module: None) -> Iterator[None]:
    """Not after each test; the images go."""
    yield
    if ids := wherryd.docker("images", "-aq", "--no-trunc", "--filter", "label=vendor").stdout.split():
        wherryd.docker("rmi", "-f", *sorted(set(ids)))


@pytest.fixture(scope="module")
def stock(plain: DebianRegistry) -> dict[str, str]:
    """Project/image with the tags 1 to 5: their digests."""
    made = {}
    for tag in map(str, range(1, 6)):
        config: dict[str, Any] = {
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in LAYERS]},
            "config": {"Cmd": [tag], "Labels": {"vendor": "yes"}},
        }
        made[tag] = plain.put_image("project/image", tag, ZIPPED, **config)[1]
    return made


@pytest.fixture(params=VENDORS, ids=lambda kind: kind.__name__)
async def vendor(
    request: pytest.FixtureRequest, plain: DebianRegistry, stock: dict[str, str]
) -> AsyncIterator[tuple[Vendor, str]]:
    """One of them, and its host and port."""
    storage = Storage(f"http://{plain.netloc}")
    async with serve(storage) as bucket:
        played: Vendor = request.param(f"http://{plain.netloc}", storage=storage, bucket=bucket)
        if isinstance(played, Harbor):
            played.tags = tuple(stock)
        async with serve(played) as netloc:
            yield played, netloc


async def docker(wherryd: Wherryd, *words: str, stdin: str = "", check: bool = True) -> tuple[int, str]:
    done = await asyncio.to_thread(wherryd.docker, *words, stdin=stdin.encode(), check=check)
    return done.returncode, done.stdout + done.stderr


async def login(wherryd: Wherryd, played: Vendor, netloc: str) -> None:
    words = ("login", "--username", played.user, "--password-stdin", netloc)
    assert "Login Succeeded" in (await docker(wherryd, *words, stdin=played.password))[1]


async def test_login(wherryd: Wherryd, vendor: tuple[Vendor, str]) -> None:
    played, netloc = vendor
    words = ("login", "--username", played.user, "--password-stdin", netloc)
    status, _ = await docker(wherryd, *words, stdin="wrong-word", check=False)
    assert status == 1
    await login(wherryd, played, netloc)
    await docker(wherryd, "logout", netloc)
    log = wherryd.log.read_text()
    assert played.password not in log
    assert "wrong-word" not in log


async def test_pull_and_push(
    wherryd: Wherryd, vendor: tuple[Vendor, str], stock: dict[str, str], plain: DebianRegistry
) -> None:
    played, netloc = vendor
    await login(wherryd, played, netloc)
    _, said = await docker(wherryd, "pull", f"{netloc}/project/image:1")
    assert f"Digest: {stock['1']}" in said
    assert len(played.storage.seen) == 3, "two layers and a config"
    for seen in played.storage.seen:
        assert not {"authorization", "cookie"} & seen.headers.keys()
    assert not [seen for seen in played.seen if "cookie" in seen.headers]
    await docker(wherryd, "tag", f"{netloc}/project/image:1", f"{netloc}/project/pushed-{netloc[-5:]}:1")
    _, said = await docker(wherryd, "push", f"{netloc}/project/pushed-{netloc[-5:]}:1")
    assert f"1: digest: {stock['1']}" in said
    await docker(wherryd, "logout", netloc)
    assert played.password not in wherryd.log.read_text()
    assert "X-Signature" not in wherryd.log.read_text()


async def test_all_tags(wherryd: Wherryd, vendor: tuple[Vendor, str], stock: dict[str, str]) -> None:
    """Harbor tells of two at a time."""
    played, netloc = vendor
    await login(wherryd, played, netloc)
    await docker(wherryd, "pull", "--all-tags", f"{netloc}/project/image")
    _, listed = await docker(wherryd, "images", "--format", "{{.Tag}}", f"{netloc}/project/image")
    assert sorted(listed.split()) == sorted(stock)
    pages = [seen for seen in played.seen if seen.path.endswith("/tags/list")]
    assert len(pages) == (3 if isinstance(played, Harbor) else 1)
    await docker(wherryd, "logout", netloc)


async def test_nobody(wherryd: Wherryd, vendor: tuple[Vendor, str], stock: dict[str, str]) -> None:
    """Without a login: ECR lets nobody in, the others give tokens to everybody who only reads."""
    played, netloc = vendor
    status, said = await docker(wherryd, "pull", f"{netloc}/project/image:2", check=False)
    if not played.token_path:
        assert (status, "no basic auth credentials" in said) == (1, True)
        return
    assert f"Digest: {stock['2']}" in said
    await docker(wherryd, "tag", f"{netloc}/project/image:2", f"{netloc}/project/refused:1")
    status, said = await docker(wherryd, "push", f"{netloc}/project/refused:1", check=False)
    assert status == 1
    assert "unauthorized" in said or "denied" in said, said


@pytest.mark.parametrize("vendor", [Ghcr, Harbor], indirect=True, ids=lambda kind: kind.__name__)
async def test_tokens_that_are_forgotten(
    wherryd: Wherryd, vendor: tuple[Vendor, str], stock: dict[str, str]
) -> None:
    """Another is fetched, once, also where the refusal does not say again that tokens are what opens it."""
    played, netloc = vendor
    await docker(wherryd, "pull", f"{netloc}/project/image:3")
    before = len(played.asked)
    played.issued.clear()
    _, said = await docker(wherryd, "pull", f"{netloc}/project/image:3")
    assert "Image is up to date" in said
    assert len(played.asked) == before + 1


async def test_a_password_that_expired(wherryd: Wherryd, vendor: tuple[Vendor, str]) -> None:
    played, netloc = vendor
    await login(wherryd, played, netloc)
    played.password, played.issued = "another-word", {}
    status, said = await docker(wherryd, "pull", f"{netloc}/project/image:4", check=False)
    assert status == 1
    assert any(word in said for word in ("denied", "unauthorized", "token has expired")), said
    await docker(wherryd, "logout", netloc)
