"""What two daemons never have in common, ids, times and addresses: a word stands for each when texts are compared.

It is counted how often each was needed: a mask that nothing needs any more fails the suite (`test_whole.py`).
"""

import re
from collections import Counter

MASKS = (
    (re.compile(r"(sha256:)?\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"\b(?:172|10|192)\.\d+\.\d+\.\d+\b"), "<ip>"),
    (re.compile(r"/[^\s\":]*/(?:wherry|peer)-\w{8}/"), "<root>/"),
    (re.compile(r"\b(?:Less than a|About an?|\d+) (?:second|minute|hour)s?\b"), "<while>"),
    # When a process began, as ps tells: the daemons begin theirs one after the other, now and then in two minutes.
    (re.compile(r'"\d\d:\d\d"'), '"<clock>"'),
    # dockerd looks each five minutes whether an exec is over; and says several values in the order of a map.
    (re.compile(r'"CanRemove":(?:true|false)'), '"CanRemove":"<swept>"'),
    (re.compile(r"=\[(?:true false|false true)\]"), "=<both>"),
    # The place in a body that does not fit; the names of Go's structs change between releases.
    (re.compile(r"into Go (?:struct field [^\s\"]+|value) of type [^\s\"]+"), "<into Go>"),
)
HEADERS = (
    ("date", re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "<date>"),
    ("server", re.compile(r"Docker/\S+ \(linux\)"), "<server>"),
    ("api-version", re.compile(r"1\.\d\d"), "<newest version>"),
    ("content-length", re.compile(r"[1-9]\d*"), "<length>"),
)
"""Of a header's whole value. An empty body's length is not masked; of others, the bodies are compared."""

needed: Counter[str] = Counter()


def mask(text: str) -> str:
    """Replace ids, times and addresses."""
    for pattern, name in MASKS:
        text, count = pattern.subn(name, text)
        needed[name] += count
    return text


def mask_header(name: str, value: str) -> str:
    """Replace what is each daemon's own in a header's value, by its name in lower case."""
    for masked, pattern, word in HEADERS:
        if name == masked and pattern.fullmatch(value):
            needed[word] += 1
            return word
    return mask(value)


def unneeded() -> list[str]:
    """The masks that never were needed in this run."""
    return [name for *_, name in (*MASKS, *HEADERS) if not needed[name]]
