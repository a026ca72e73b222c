"""What the engine says of itself and of its host: `/info` and `/version`."""

from engine.system.nouns import Info, Version
from engine.system.system import System

__all__ = ["Info", "System", "Version"]
