"""Whether two builds were refused alike: in the same words, and with the same lines of the Dockerfile shown."""

import re

from tests.peer.builds.building import Built
from tests.peer.builds.case import Case

OTHER_WORDS = {
    "mount-not-there": "says that it is not there before the step begins, as later versions do",
    "copy-missing-from": "names no path of the host",
    "copy-outside": "names no path of the host",
    "workdir-onto-file": "names no path of the host",
    "add-checksum": "says first that no URL is added, as later versions do",
    "c-run-nothing-there": "runc's own words are in the output of the step",
    "c-no-shell": "runc's own words are in the output of the step",
    "c-stage-itself-name": "asks the registry, whose network is not there, in other words",
    "run-user": "tells the command, too",
}
"""Refusals that are told otherwise, and why."""

OTHER_LINES = {
    "empty-file": "there is one, the first",
    "only-comments": "",
    "bad-escape": "dockerd counts lines of directives from 0",
    "two-escapes": "dockerd counts lines of directives from 0",
    "long-line": "dockerd shows the line before",
    "stage-number": "dockerd shows none",
    "onbuild-bad": "dockerd shows the FROM twice",
}
"""Refusals that show other lines, and why."""

_SAME = (
    (re.compile(r"^Error response from daemon: (?:failed to parse Dockerfile: )?"), ""),
    (re.compile(r"(flag:?(?: specified:)?) --"), r"\1 "),
    (re.compile(r"(/[^ :]+)?/(?:merged|diff|buildkit-mount\d+)(?=/)"), ""),
    (re.compile(r"checksum of ref [^ ]+:"), "checksum of ref …:"),
    (re.compile(r"^Invalid (?=containerPort|proto)"), "invalid "),
)
"""What is another thing each time, and what later versions say in other words."""


def same_refusal(case: Case, ours: Built, theirs: Built) -> bool:
    """But for what is told of above."""
    words = case.name in OTHER_WORDS or _words(ours.failure) == _words(theirs.failure)
    return words and (case.name in OTHER_LINES or ours.lines == theirs.lines)


def _words(text: str) -> str:
    for pattern, replacement in _SAME:
        text = pattern.sub(replacement, text)
    return text
