"""Events: stored, filtered and told live."""

from engine.events.event import Event
from engine.events.events import Events
from engine.events.matching import FILTERS
from engine.events.store import MIGRATIONS

__all__ = ["FILTERS", "MIGRATIONS", "Event", "Events"]
