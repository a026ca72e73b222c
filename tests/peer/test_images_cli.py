"""`docker images` and its like by the official CLI: line by line what a real dockerd makes it say."""

from collections.abc import Iterator

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.peer import Both

pytestmark = pytest.mark.root

LAYERS = [tar({"etc/hello": b"hello\n" * 3000}), tar({"etc/more": b"more\n"})]
ONE = Made(LAYERS, ["cli-one:1", "cli-one:2", "127.0.0.1:5/cli/one:1"], {"config": {"Labels": {"cli": "1"}}})
TWO = Made(
    LAYERS[:1], ["cli-two:latest"], {"created": "2023-01-02T03:04:05Z", "config": {"Labels": {"cli": "2"}}}
)
BARE = Made(LAYERS[:1], [], {"author": "x", "config": {"Labels": {"cli": "3"}}})
ALL = (ONE, TWO, BARE)


@pytest.fixture
def sides(both: Both) -> Iterator[Both]:
    """Three images on both sides."""
    for made in ALL:
        both("POST", "/images/load?quiet=1", docker_archive(made))
    yield both
    for made in ALL:
        both("DELETE", f"/images/{made.id}?force=1")


def said(both: Both, *args: str) -> list[tuple[int, list[str], str]]:
    """What the CLI says of both: status, lines (sorted: of equally old images the order is chance), complaints.

    But for the bytes of a prune: what is kept of an image is not the same.
    """
    told = []
    for side in (both.wherryd, both.peer):
        done = side.docker(*args, check=False)
        out, err = (text.decode() if isinstance(text, bytes) else text for text in (done.stdout, done.stderr))
        lines = [line for line in out.splitlines() if not line.startswith("Total reclaimed space: ")]
        told.append((done.returncode, sorted(lines), err))
    return told


OURS = ("--filter", "label=cli")
COMMANDS = [
    ("images", *OURS),
    ("images", "-a", *OURS),
    ("images", "-q", *OURS),
    ("images", "-q", "--no-trunc", *OURS),
    ("images", "--no-trunc", *OURS),
    ("images", "--digests", *OURS),
    ("images", "--digests", "--no-trunc", "-a", *OURS),
    ("image", "ls", "-a", *OURS),
    ("images", "cli-one"),
    ("images", "cli-one:2"),
    ("images", "cli-*"),
    ("images", "127.0.0.1:5/cli/one"),
    ("images", "nope"),
    ("images", "UPPER"),
    ("images", "--filter", "dangling=true", *OURS),
    ("images", "--filter", "dangling=false", *OURS),
    ("images", "--filter", "dangling=x"),
    ("images", "--filter", "label=cli=2"),
    ("images", "--filter", "label=cli=2", "--filter", "label=nope"),
    ("images", "--filter", "before=cli-one:1", *OURS),
    ("images", "--filter", "since=cli-two", *OURS),
    ("images", "--filter", "since=nope"),
    ("images", "--filter", "until=2023-06-01T00:00:00Z", *OURS),
    ("images", "--filter", "reference=cli-*:1"),
    ("images", "--filter", "reference=*/cli/*"),
    ("images", "--filter", "nope=x"),
    ("images", "--format", "{{json .}}", *OURS),
    ("images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}} {{.CreatedAt}}", *OURS),
    ("history", "cli-one:1"),
    ("history", "--no-trunc", "-q", "cli-one:1"),
    ("history", "--format", "{{json .}}", "cli-two"),
    ("image", "inspect", "--format", "{{.Id}} {{json .RootFS}} {{json .Config.Labels}} {{.Size}}", "cli-two"),
    ("image", "inspect", "nope"),
    ("inspect", "--type", "image", "nope"),
    ("tag", "cli-two", "cli-two:more"),
    ("tag", "cli-two", "UPPER"),
    ("rmi", "cli-two:more"),
    ("rmi", "nope"),
    ("rmi", ONE.id[7:19]),
    ("rmi", "--no-prune", "cli-one:2", "cli-one:1"),
    ("image", "rm", "-f", ONE.id),
    ("image", "prune", "-f", "--filter", "label=cli=3"),
    ("image", "prune", "-f", "-a", "--filter", "label=cli=2"),
    ("image", "prune", "-f", "--filter", "nope=x"),
    ("images", *OURS),
]


def test_every_line(sides: Both) -> None:
    different = []
    for command in COMMANDS:
        ours, theirs = said(sides, *command)
        if ours != theirs:
            different.append(f"docker {' '.join(command)}\n    {ours}\n    dockerd: {theirs}")
    if different:
        pytest.fail("\n".join(different), pytrace=False)
