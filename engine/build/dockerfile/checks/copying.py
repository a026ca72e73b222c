"""Whether COPY and ADD ask for what `.dockerignore` leaves out."""

from engine.build.dockerfile.checks import rules
from engine.build.dockerfile.checks.reporting import Report
from engine.build.dockerfile.instructions import Copy, Transfer
from engine.build.ignore import Ignore, clean

_EVERYTHING = frozenset({"*", "**", "**/*"})


def check_sources(transfer: Transfer, ignore: Ignore | None, report: Report) -> None:
    """Patterns with exceptions are not looked at: a directory that is left out may have something in it."""
    if ignore is None or ignore.exceptions or (isinstance(transfer, Copy) and transfer.origin):
        return
    verb = "Copy" if isinstance(transfer, Copy) else "Add"
    for source in map(clean, filter(_local, transfer.sources)):
        if source in (".", "/") and not any(each.text in _EVERYTHING for each in ignore.patterns):
            continue
        if ignore.matches(source) or source == ".":
            text = f'Attempting to {verb} file "{source}" that is excluded by .dockerignore'
            report.add(rules.COPY_IGNORED_FILE, transfer.position, text, transfer.comments)


def _local(source: str) -> bool:
    return "://" not in source and not source.startswith("git@")
