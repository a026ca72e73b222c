"""The state database: SQLite, durable writes in groups, reads beside them."""

from engine.database.database import Database
from engine.database.migrations import Migration

__all__ = ["Database", "Migration"]
