"""What clients ask of a Dockerfile instead of a build: `docker build --check`, and which such questions there are."""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any, Final

import errdefs
from api.buildkit.request import LINT
from engine.build.builds import Planned
from engine.build.progress import Finding
from engine.build.source import Position, SourceFile

_DESCRIBE: Final = "frontend.subrequests.describe"
_LINE: Final = re.compile(r" \(line [0-9]+\)$")
_VERSION: Final = "1.0.0"


def answer(question: str, planned: Planned) -> dict[str, bytes]:
    """The answer as a result's metadata. Unsupported for a question that is not answered."""
    if question == LINT:
        return _lint(planned.source, planned.findings)
    if question == _DESCRIBE:
        return _described()
    raise errdefs.Unsupported(f"unsupported subrequest {question[:80]}")


def _lint(source: SourceFile, findings: Sequence[Finding]) -> dict[str, bytes]:
    shown = {
        "warnings": [_warning(finding) for finding in findings] or None,
        "sources": [
            {
                "filename": source.name,
                "data": base64.b64encode(source.content).decode(),
                "language": "Dockerfile",
            }
        ],
    }
    return {
        "result.json": json.dumps(shown, indent=2).encode(),
        "result.txt": "".join(_text(source, finding) for finding in findings).encode(),
        "result.statuscode": b"1" if findings else b"0",
        "version": _VERSION.encode(),
    }


def _warning(finding: Finding) -> dict[str, Any]:
    rule, detail = _told(finding)
    ranges = [{"start": {"line": first}, "end": {"line": last}} for first, last in finding.lines]
    return {
        "ruleName": rule,
        "description": " ".join(finding.detail),
        "url": finding.url,
        "detail": detail,
        "location": {"ranges": ranges},
    }


def _told(finding: Finding) -> tuple[str, str]:
    """The name of the rule and what is wrong, of "Rule: what is wrong (line 3)"."""
    rule, _, detail = finding.short.partition(": ")
    return rule, _LINE.sub("", detail)


def _text(source: SourceFile, finding: Finding) -> str:
    rule, detail = _told(finding)
    link = f" - {finding.url}" if finding.url else ""
    excerpt = source.excerpt([Position(first, last) for first, last in finding.lines])
    return f"\nWARNING: {rule}{link}\n{detail}\n{excerpt}\n"


def _described() -> dict[str, bytes]:
    requests = [
        {
            "name": name,
            "version": _VERSION,
            "type": "rpc",
            "description": description,
            "opts": [],
            "inputs": None,
            "metadata": [{"name": each, "description": ""} for each in ("result.json", "result.txt")],
            "refs": None,
        }
        for name, description in ((LINT, "Lint a Dockerfile"), (_DESCRIBE, "List available subrequest types"))
    ]
    text = "".join(f"{each['name']}\t{each['description']}\n" for each in requests)
    return {
        "result.json": json.dumps(requests, indent=2).encode(),
        "result.txt": text.encode(),
        "version": _VERSION.encode(),
    }
