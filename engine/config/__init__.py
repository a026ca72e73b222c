"""The configuration: dockerd's flags and daemon.json."""

from engine.config.config import Config
from engine.config.loading import Answered, load
from engine.config.reloading import Reloaded, reload
from engine.config.values import RuntimePath

__all__ = ["Answered", "Config", "Reloaded", "RuntimePath", "load", "reload"]
