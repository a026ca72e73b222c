"""diff, export, commit and save as the API shows them."""

import asyncio
import json
from urllib.parse import quote

import pytest

import errdefs
from engine.containers.changes import Change
from engine.containers.commit import CommitRequest
from engine.containers.config import ContainerConfig
from engine.images.platforms import Platform
from runtime.layers.changes import Kind
from tests.unit.api.conftest import Served
from tests.unit.api.samples import ID, IMAGE_ID, container

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def box(served: Served) -> None:
    served.engine.containers.records[ID] = container()


async def test_changes(served: Served, box: None) -> None:
    assert await served.ask("GET", "/containers/box/changes") == (200, None)
    served.engine.filesystem.changed = [Change("/a", Kind.MODIFIED), Change("/a/b", Kind.DELETED)]
    expected = [{"Path": "/a", "Kind": 0}, {"Path": "/a/b", "Kind": 2}]
    assert await served.ask("GET", "/v1.24/containers/box/changes") == (200, expected)


@pytest.mark.parametrize("path", ["/containers/box/export", "/images/bb:1/get", "/images/get?names=bb:1"])
async def test_an_archive_is_streamed(served: Served, box: None, path: str) -> None:
    async with served.session.get(f"http://d{path}") as answer:
        assert await answer.read() == b"archive"
        kind = "application/octet-stream" if "export" in path else "application/x-tar"
        assert (answer.headers["Content-Type"], answer.headers["Transfer-Encoding"]) == (kind, "chunked")
        assert answer.headers["Api-Version"]


@pytest.mark.parametrize("path", ["/containers/box/export", "/images/bb:1/get"])
async def test_an_archive_that_breaks_off_does_not_look_whole(served: Served, box: None, path: str) -> None:
    served.engine.containers.failure = served.engine.images.failure = errdefs.SystemFailure("disk")
    answer = await asyncio.wait_for(
        served.raw(f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode()), 5
    )
    assert b"200 OK" in answer
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("path", ["/containers/nope/export", "/containers/nope/changes", "/images/nope/get"])
async def test_what_is_not_there_is_told_by_status(served: Served, path: str) -> None:
    status, body = await served.ask("GET", path)
    assert status == 404
    assert body["message"].startswith("No such")


COMMITS: list[tuple[str, str, dict[str, object]]] = [
    ("", "", {}),
    ("", "null", {}),
    ("", "{}", {}),
    ("", '{"nonsense": 1}', {}),
    ("&pause=0", "", {"pause": False}),
    ("&repo=r&tag=t&author=a&comment=c", "", {"repo": "r", "tag": "t", "author": "a", "comment": "c"}),
    ("&changes=A&changes=B", "", {"changes": ["A", "B"]}),
    ("", '{"cmd": "x", "Env": null}', {"config": ContainerConfig(cmd=["x"])}),
]


@pytest.mark.parametrize(("query", "body", "expected"), COMMITS)
async def test_commit(served: Served, box: None, query: str, body: str, expected: dict[str, object]) -> None:
    path = f"/v1.45/commit?container=box{query}"
    assert await served.ask("POST", path, data=body, headers=JSON) == (201, {"Id": IMAGE_ID})
    fields: dict[str, object] = {"changes": [], **expected}
    assert served.engine.filesystem.committed == [CommitRequest(container="box", **fields)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "body", "text"),
    [
        ("", "", 'invalid name or ID supplied: ""'),
        ("container=%2f", "", 'invalid name or ID supplied: "/"'),
        ("container=box", "{", "invalid JSON"),
        ("container=box", "[]", "invalid JSON"),
        ("container=box", '{"Cmd": 1}', "invalid JSON"),
    ],
)
async def test_bad_commits(served: Served, box: None, query: str, body: str, text: str) -> None:
    status, answer = await served.ask("POST", f"/commit?{query}", data=body, headers=JSON)
    assert status == 400
    assert text in answer["message"]
    assert served.engine.filesystem.committed == []


ARM = json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8"})
AMD = json.dumps({"os": "linux", "architecture": "amd64"})
WANTED = [
    ("1.47", [ARM], []),
    ("1.48", [], []),
    ("1.48", [""], []),
    ("1.48", [ARM], [Platform(os="linux", architecture="arm64", variant="v8")]),
    (
        "1.52",
        [ARM, AMD],
        [
            Platform(os="linux", architecture="arm64", variant="v8"),
            Platform(os="linux", architecture="amd64"),
        ],
    ),
]


@pytest.mark.parametrize(("version", "given", "wanted"), WANTED)
async def test_platforms_of_a_save(
    served: Served, version: str, given: list[str], wanted: list[Platform]
) -> None:
    """Sources: moby's image_routes.go and httputils/form.go (DecodePlatform); the gates of 1.48 and 1.52."""
    query = "&".join(f"platform={quote(each)}" for each in given)
    async with served.session.get(f"http://d/v{version}/images/bb:1/get?{query}") as answer:
        assert answer.status == 200
    assert served.engine.images.calls == [("save", ["bb:1"], wanted)]


@pytest.mark.parametrize(
    ("version", "given", "text"),
    [
        ("1.48", "x", "failed to parse platform"),
        ("1.55", "[]", "failed to parse platform"),
        ("1.48", '{"os":"linux"}', "both OS and Architecture must be provided"),
        (
            "1.48",
            '{"variant":"v8"}',
            "optional platform fields provided, but OS and Architecture are missing",
        ),
        (
            "1.51",
            AMD + "&platform=" + AMD,
            "multiple platform parameters are not supported in this API version; use API version 1.52 or later",
        ),
    ],
)
async def test_bad_platforms_of_a_save(served: Served, version: str, given: str, text: str) -> None:
    query = "&platform=".join(quote(each) for each in given.split("&platform="))
    status, body = await served.ask("GET", f"/v{version}/images/bb:1/get?platform={query}")
    assert (status, text in body["message"]) == (400, True)


async def test_platforms_of_a_load(served: Served) -> None:
    for version in ("1.47", "1.48"):
        path = f"/v{version}/images/load?platform={quote(ARM)}"
        assert (await served.ask("POST", path, data=b"tar"))[0] == 200
    assert served.engine.images.calls == [("load", True), ("load", True, "linux/arm64/v8")]
    assert (await served.ask("POST", "/v1.48/images/load?platform=x", data=b"tar"))[0] == 400
