"""From records to what a client reads: chosen by stream and time, prefixed, framed."""

from collections.abc import Iterable, Iterator
from struct import Struct
from urllib.parse import quote_plus

import msgspec

from engine.logs.record import Record, decode, fixed_time, time_text

_STREAMS = {"stdout": 1, "stderr": 2}
_frame = Struct(">BxxxI").pack  # stdcopy's header: stream, length


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a log. Times are Unix nanoseconds; `tail` None is all of it, and counts records.

    `multiplexed` frames each record for its stream (stdcopy); without, the bytes come as they are (a
    terminal). `as_json` is what stands before each record told as JSON, None for bytes.
    """

    stdout: bool = True
    stderr: bool = True
    since_ns: int | None = None
    until_ns: int | None = None
    tail: int | None = None
    follow: bool = False
    timestamps: bool = False
    details: bool = False
    multiplexed: bool = True
    as_json: bytes | None = None


class Renderer:
    """Turns lines of a log into bytes for one client, in order. `finished` is set by the first record past `until`."""

    def __init__(self, query: LogQuery) -> None:
        self.finished = False
        self._query = query
        self._since = time_text(query.since_ns) if query.since_ns is not None else ""
        self._until = time_text(query.until_ns) if query.until_ns is not None else ""
        asked = {"stdout": query.stdout, "stderr": query.stderr}
        self._codes = {name: code for name, code in _STREAMS.items() if asked[name]}

    def render(self, lines: bytes) -> bytes:
        """What the client gets of these whole lines: b"" if nothing."""
        if self.finished:
            return b""
        records: Iterable[Record] = decode(lines)
        if self._since or self._until:
            records = self._in_time(records)
        if self._query.as_json is not None:
            return self._told(records, self._query.as_json)
        if self._query.timestamps or self._query.details:
            records = self._prefixed(records)
        return self._framed(records) if self._query.multiplexed else self._plain(records)

    def _framed(self, records: Iterable[Record]) -> bytes:
        parts: list[bytes] = []
        add, codes = parts.append, self._codes
        for record in records:
            if (code := codes.get(record.stream)) is not None:
                data = record.log.encode()
                add(_frame(code, len(data)))
                add(data)
        return b"".join(parts)

    def _plain(self, records: Iterable[Record]) -> bytes:
        return "".join([record.log for record in records if record.stream in self._codes]).encode()

    def _told(self, records: Iterable[Record], before: bytes) -> bytes:
        lines = [
            msgspec.json.encode(_message(record, details=self._query.details))
            for record in records
            if record.stream in self._codes
        ]
        return b"".join([before + line + b"\n" for line in lines])

    def _in_time(self, records: Iterable[Record]) -> Iterator[Record]:
        """As in Docker `since` counts up to the first record in time (times may step back), `until` ends it all."""
        for record in records:
            time = fixed_time(record.time)
            if time < self._since:
                continue
            self._since = ""
            if self._until and time > self._until:
                self.finished = True
                return
            yield record

    def _prefixed(self, records: Iterable[Record]) -> Iterator[Record]:
        timestamps, details = self._query.timestamps, self._query.details
        for record in records:
            prefix = f"{fixed_time(record.time)} " if timestamps else ""
            if details:
                prefix += f"{_attributes(record.attrs)} "
            record.log = prefix + record.log
            yield record


def _message(record: Record, *, details: bool) -> dict[str, object]:
    """A record as JSON; what is empty is left out."""
    told: dict[str, object] = {"Line": record.log} if record.log else {}
    told |= {"Source": record.stream, "Timestamp": record.time}
    if details and record.attrs:
        told["Attrs"] = [{"Key": key, "Value": value} for key, value in sorted(record.attrs.items())]
    return told


def _attributes(attrs: dict[str, str] | None) -> str:
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted((attrs or {}).items()))
