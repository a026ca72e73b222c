"""What a daemon that notes its answers (`recording.py`) has answered, against the contract of the newest API."""

import fnmatch
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import yaml

from api import versions
from tests.daemon import Wherryd
from tests.wire.exceptions import EXCEPTIONS, Exception_
from tests.wire.swagger import Document, Problem, Schema, nameless

CONTRACT = Path(__file__).resolve().parents[3] / "shared/reference/engine-api-1.55.yaml"
RECORDING = Path(__file__).with_name("recording.py")
MISSING = "the definition of the API is not here: ../shared/reference/engine-api-1.55.yaml"

FIRST_ERROR = 400
# Streams whose messages the contract defines, but not in their operations.
_MESSAGES = {
    ("POST", "/build"): "BuildInfo",
    ("POST", "/images/create"): "CreateImageInfo",
    ("POST", "/images/load"): "BuildInfo",
    ("POST", "/images/{}/push"): "PushImageInfo",
}
# Entries that the contract names by their types in Go alone.
_ENTRIES = {
    "ImagesDiskUsage": "ImageSummary",
    "ContainersDiskUsage": "ContainerSummary",
    "VolumesDiskUsage": "Volume",
    "BuildCacheDiskUsage": "BuildCache",
}
# What clients of older versions get of a GET is asked once more at the newest, but for these, which last: they are
# looked at without what the newest version does not have any more.
_OF_OLDER = {"/events": frozenset({"status", "id", "from"}), "/containers/{}/stats": frozenset[str]()}


@dataclass(slots=True)
class Answers:
    """What a daemon notes, a file each time that it is started.

    `seen` counts bodies by operation, `met` holds the exceptions that were needed.
    """

    directory: Path
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    met: set[Exception_] = field(default_factory=set)
    _read: dict[int, int] = field(default_factory=dict)  # bytes, by inode

    def problems(self) -> list[str]:
        """What is wrong with the answers since the last time, a line each."""
        found = (what for answer, body in self._notes() for what in self._of(answer, body))
        return sorted(set(found))

    def _notes(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        for file in sorted(self.directory.glob("*")):
            with file.open("rb") as stream:
                inode = os.fstat(stream.fileno()).st_ino
                stream.seek(self._read.get(inode, 0))
                for note in _whole(stream):
                    self._read[inode] = stream.tell()
                    yield note

    def _of(self, answer: dict[str, Any], body: bytes) -> Iterator[str]:
        operation = (answer["method"], nameless(answer["path"]))
        legacy = frozenset[str]()
        if answer["version"] != versions.MAXIMUM and answer["method"] == "GET":
            if operation[1] not in _OF_OLDER:
                return
            legacy = _OF_OLDER[operation[1]]
        self.seen[operation] += 1
        schema = _schema(operation, answer["status"])
        label = f"{' '.join(operation)} {answer['status']}"
        if schema is None:
            yield f"{label}: no such answer is in the contract: {body[:200]!r}"
            return
        # BuildKit's own calls are not in it, and fail as others do.
        described = contract().operations.get(operation, {})
        produced = described.get("produces", [answer["type"]])
        if answer["status"] < FIRST_ERROR and not legacy and answer["type"] not in produced:
            yield f"{label}: {answer['type']} is none of {produced}"
        for line in body.split(b"\n"):
            if line := line.strip(b"\r\x1e"):
                value = msgspec.json.decode(line)
                if isinstance(value, dict):
                    value = {key: entry for key, entry in value.items() if key not in legacy}
                yield from self._checked(operation, label, value, schema)

    def _checked(self, operation: tuple[str, str], label: str, value: Any, schema: Schema) -> Iterator[str]:
        for problem in contract().check(value, schema):
            if not self._expected(" ".join(operation), problem):
                yield f"{label}: {problem.where}: {problem.what}"

    def _expected(self, operation: str, problem: Problem) -> bool:
        found = _exceptions(operation, problem)
        self.met.update(found)
        return bool(found)


@cache
def contract() -> Document:
    """The definition of the newest API."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(CONTRACT.read_text(), Loader=loader)
    for name, entry in _ENTRIES.items():
        items = document["definitions"][name]["properties"]["Items"]
        assert items["items"].keys() == {"x-go-type"}, f"{name} says by now what its entries are"
        items["items"] = {"$ref": f"#/definitions/{entry}"}
    return Document(document)


@cache
def _exceptions(operation: str, problem: Problem) -> frozenset[Exception_]:
    return frozenset(
        each
        for each in EXCEPTIONS
        if fnmatch.fnmatchcase(operation, each.operation)
        and fnmatch.fnmatchcase(problem.where, each.where)
        and fnmatch.fnmatchcase(problem.what, each.what)
    )


def _whole(stream: BinaryIO) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The notes that are whole: the daemon may be writing one, or was killed meanwhile."""
    while (line := stream.readline()).endswith(b"\n"):
        answer = json.loads(line)
        body = stream.read(answer["length"])
        if len(body) < answer["length"]:
            return
        yield answer, body


def watch(daemon: Wherryd, directory: Path) -> list[Answers]:
    """Have a daemon that is not started yet note its answers there; none where the contract is not here."""
    if not CONTRACT.exists():
        return []
    answers = Answers(directory / f"answers-{daemon.root.name}")
    answers.directory.mkdir()
    daemon.program = [str(RECORDING), str(answers.directory)]
    return [answers]


def _schema(operation: tuple[str, str], status: int) -> Schema | None:
    """The schema of an answer, None if there should be none."""
    if status >= FIRST_ERROR:
        return contract().definition("ErrorResponse")
    if operation in _MESSAGES:
        return contract().definition(_MESSAGES[operation])
    known = contract().operations.get(operation, {}).get("responses", {}).get(status, {})
    schema: Schema | None = known.get("schema")
    return schema
