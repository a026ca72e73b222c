"""What a worker is asked: values that go to it as JSON."""

from typing import Any, NamedTuple


class Selection(NamedTuple):
    """Files of a directory: `paths` are patterns from its root, links being followed within it.

    `parents`: what is selected keeps its directories, those after "/./" in its path if that is there. `exclude` are
    patterns of what is left out, relative to each directory that is selected. `keyword`, of an instruction for Docker's
    first builder: something must be found, and one thing alone unless `several`.
    """

    paths: list[str]
    parents: bool = False
    exclude: list[str] = []  # noqa: RUF012  never changed
    keyword: str = ""
    several: bool = True


class CopyFiles(NamedTuple):
    """COPY and ADD: what is selected in the directory with number `source`, from 0, goes to `destination`.

    `owner`: a name or number of the root's, "" for the files' own. `mode`: see `chmod`, "" for the files' own.
    `unpack`: archives are unpacked.
    """

    source: int
    selection: Selection
    destination: str
    owner: str = ""
    mode: str = ""
    unpack: bool = False


class MakeFile(NamedTuple):
    """A file with `content`, as latin-1 has bytes; it is called `name` in a directory that is the destination."""

    destination: str
    name: str
    content: str
    owner: str = ""
    mode: str = ""


class MakeDirectory(NamedTuple):
    """A directory, and those above it."""

    path: str
    owner: str = ""


Action = CopyFiles | MakeFile | MakeDirectory


def encode(action: Action) -> dict[str, Any]:
    """As JSON has it."""
    return {"kind": type(action).__name__, **action._asdict()}


def decode(value: dict[str, Any]) -> Action:
    """The inverse."""
    fields = {name: field for name, field in value.items() if name != "kind"}
    if value["kind"] == "CopyFiles":
        return CopyFiles(**{**fields, "selection": Selection(*fields["selection"])})
    return MakeFile(**fields) if value["kind"] == "MakeFile" else MakeDirectory(**fields)
