"""Events: stored, filtered and told live."""

from engine.events.event import Event
from engine.events.events import Events
from engine.events.store import MIGRATIONS

__all__ = ["MIGRATIONS", "Event", "Events"]
