"""The environment of the first process."""

import os

import pytest

from runtime.spec.environment import DEFAULT_PATH, environment, merge

PATH = f"PATH={DEFAULT_PATH}"


@pytest.mark.parametrize(
    ("image", "config", "tty", "expected"),
    [
        ([], [], False, (PATH, "HOSTNAME=h")),
        ([], [], True, (PATH, "HOSTNAME=h", "TERM=xterm")),
        (["PATH=/image"], [], False, ("PATH=/image", "HOSTNAME=h")),
        (["PATH=/image", "A=1"], ["PATH=/mine", "B=2"], False, ("PATH=/mine", "HOSTNAME=h", "B=2", "A=1")),
        ([], ["TERM=vt100", "HOSTNAME=other"], True, (PATH, "HOSTNAME=other", "TERM=vt100")),
        ([], ["HOSTNAME"], False, (PATH,)),
        (["A=1"], ["A"], False, (PATH, "HOSTNAME=h")),
        ([], ["A=x=y", "EMPTY="], False, (PATH, "HOSTNAME=h", "A=x=y", "EMPTY=")),
    ],
)
def test_environment(image: list[str], config: list[str], tty: bool, expected: tuple[str, ...]) -> None:
    assert environment(image, config, "h", tty) == expected


def test_the_daemons_own_environment_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_SECRET", "x")
    assert "WHERRY_SECRET" in os.environ
    assert environment(["WHERRY_SECRET"], ["PATH"], "h") == ("HOSTNAME=h",)


def test_home_is_a_default() -> None:
    assert environment([], [], "h", home="/root")[-1] == "HOME=/root"
    assert environment([], ["HOME=/mine"], "h", home="/root")[-1] == "HOME=/mine"


def test_merge_keeps_what_unsets() -> None:
    assert merge(["A=1", "B=2"], ["A", "C=3"]) == ["A", "C=3", "B=2"]
