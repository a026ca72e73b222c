"""Events as they are streamed, by API version and content type; the content types of JSON streams."""

from typing import Any

from api import errors
from api.versions import Version
from engine.events.event import Event

JSON = "application/json"
JSON_LINES = "application/jsonl"
NDJSON = "application/x-ndjson"
JSON_SEQUENCE = "application/json-seq"
_ACCEPTABLE = (JSON_LINES, NDJSON, JSON_SEQUENCE)
RECORD_SEPARATOR = b"\x1e"
_LEGACY_TYPES = ("container", "image")


def content_type(accept: str, version: Version) -> str:
    """The first JSON stream type that the client names, else its version's own."""
    return accepted(accept) or (JSON if version.before("1.52") else JSON_LINES)


def accepted(accept: str) -> str:
    """The first JSON stream type that the client names, "" if it names none; wildcards do not count."""
    named = (entry.partition(";")[0].strip().lower() for entry in accept.split(","))
    return next((wanted for wanted in named if wanted in _ACCEPTABLE), "")


def hidden(event: Event, version: Version) -> bool:
    """Whether clients of this version do not know the event."""
    return version.before("1.46") and event.type == "image" and event.action == "create"


def shape(event: Event, version: Version) -> dict[str, Any]:
    """One event."""
    shown: dict[str, Any] = {}
    if version.before("1.52") and event.type in _LEGACY_TYPES:
        maker = event.attributes.get("image", "") if event.type == "container" else ""
        told = {"status": event.action, "id": event.actor_id, "from": maker}
        shown = {key: value for key, value in told.items() if value}
    return shown | {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": event.attributes},
        "scope": event.scope,
        "time": event.time_ns // 1_000_000_000,
        "timeNano": event.time_ns,
    }


def encode(event: Event, version: Version, media_type: str) -> bytes:
    """One event's bytes in the stream."""
    line = errors.encode(shape(event, version))
    return RECORD_SEPARATOR + line if media_type == JSON_SEQUENCE else line
