"""Notes of a daemon's answers: what is looked at, and what is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.wire import answers
from tests.wire.answers import Answers

pytestmark = pytest.mark.skipif(not answers.CONTRACT.exists(), reason=answers.MISSING)

EVENT: dict[str, Any] = {
    "Type": "image",
    "Action": "pull",
    "Actor": {"ID": "x", "Attributes": {}},
    "scope": "local",
    "time": 1,
    "timeNano": 1,
}


def noted(tmp_path: Path, method: str, path: str, *bodies: Any, **more: Any) -> Answers:
    """The answers in a file to which a daemon has written these bodies."""
    with (tmp_path / "1").open("ab") as file:
        for body in bodies:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            about = {
                "method": method,
                "path": path,
                "version": "1.55",
                "status": 200,
                "type": "application/json",
            }
            file.write(json.dumps(about | more | {"length": len(raw)}).encode() + b"\n" + raw)
    return Answers(tmp_path)


def test_nothing_is_wrong_with_what_is_right(tmp_path: Path) -> None:
    found = noted(tmp_path, "POST", "/containers/create", {"Id": "x", "Warnings": []}, status=201)
    assert found.problems() == []
    assert found.seen == {("POST", "/containers/create"): 1}


def test_unknown_fields_fail(tmp_path: Path) -> None:
    found = noted(tmp_path, "POST", "/containers/create", {"Id": "x", "Warnings": [], "New": 1}, status=201)
    assert found.problems() == ["POST /containers/create 201: .New: unknown field"]
    assert found.problems() == []  # told once


def test_errors_have_their_form(tmp_path: Path) -> None:
    found = noted(tmp_path, "GET", "/containers/{name}/json", {"message": "x", "code": 5}, status=404)
    assert found.problems() == ["GET /containers/{}/json 404: .code: unknown field"]


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 200), ("/containers/{name}/json", 202)])
def test_what_is_not_in_the_contract(tmp_path: Path, path: str, status: int) -> None:
    (line,) = noted(tmp_path, "GET", path, {}, status=status).problems()
    assert "no such answer is in the contract" in line


def test_a_content_type_that_is_another(tmp_path: Path) -> None:
    (line,) = noted(tmp_path, "GET", "/events", EVENT).problems()
    assert line.startswith("GET /events 200: application/json is none of")


def test_each_message_of_a_stream(tmp_path: Path) -> None:
    body = b"\n".join([b"\x1e" + json.dumps(EVENT).encode(), b'\x1e{"Type": 5}', b""])
    found = noted(tmp_path, "GET", "/events", body, type="application/json-seq")
    assert found.problems() == ["GET /events 200: .Type: int is no string"]


def test_older_versions_of_what_is_asked_again_at_the_newest(tmp_path: Path) -> None:
    assert noted(tmp_path, "GET", "/info", {"Old": 1}, version="1.45").problems() == []
    found = noted(tmp_path, "GET", "/events", EVENT | {"status": "pull", "Other": 1}, version="1.45")
    assert found.problems() == ["GET /events 200: .Other: unknown field"]


def test_a_note_that_is_being_written(tmp_path: Path) -> None:
    found = noted(tmp_path, "GET", "/info", {"X": 1})
    file = tmp_path / "1"
    whole = file.read_bytes()
    for length in (5, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert found.problems() == []
    (tmp_path / "2").write_bytes(whole)  # the daemon was killed, and is there again
    assert "GET /info 200: .X: unknown field" in found.problems()
    file.write_bytes(whole)
    assert "GET /info 200: .X: unknown field" in found.problems()


def test_exceptions_are_counted(tmp_path: Path) -> None:
    assert noted(tmp_path, "GET", "/exec/{name}/json", {"ExitCode": "x"}).problems() == [
        "GET /exec/{}/json 200: .ExitCode: str is no integer"
    ]
    found = noted(tmp_path, "GET", "/exec/{name}/json", {"ExitCode": None})
    found.problems()
    assert [each.where for each in found.met] == [".ExitCode"]
