"""A line of the table of accepted differences."""

import fnmatch
from dataclasses import dataclass


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@dataclass(frozen=True, slots=True)
class Accepted:
    """One difference that is meant.

    `endpoint` is a method and a path of docs/endpoints.md, `where` the place in the answer: "status",
    "headers.location", "body.State.Pid"; "*" in either stands for any text. "!" at the end of a place tells that the
    two are of different types or that one side alone has it; "*" alone covers these, too. `request` is a part of the
    request as it is shown: method, path with query, body. `since` and `until` are the versions in which it is so.
    """

    endpoint: str
    where: str
    reason: str
    request: str = ""
    since: str = "1.0"
    until: str = "1.999"

    def covers(self, endpoint: str, version: str, request: str, where: str) -> bool:
        """Whether a difference found there is this one."""
        return (
            (self.where == "*" or where.endswith("!") == self.where.endswith("!"))
            and fnmatch.fnmatchcase(where, self.where)
            and fnmatch.fnmatchcase(endpoint, self.endpoint)
            and self.request in request
            and _number(self.since) <= _number(version) <= _number(self.until)
        )
