"""Steps that go on when they are told to."""

from pathlib import Path

from tests.processes import processes

UNTIL_GO = "until [ -e /go ]; do sleep 0.1; done"
"""What a step waits by."""


def go_on(word: str) -> None:
    """Let the step go on in whose command the word is."""
    waiting = {
        pid: each for pid, each in processes().items() if word in each.command and "/go" in each.command
    }
    # A child is called as its parent until it has become `sleep`.
    (step,) = (pid for pid, each in waiting.items() if each.parent not in waiting)
    Path(f"/proc/{step}/root/go").touch()
