"""Devices by the Container Device Interface: specs of vendors, and what they change in a container."""

from runtime.cdi.inject import Unresolved, inject
from runtime.cdi.registry import Registry, scan

__all__ = ["Registry", "Unresolved", "inject", "scan"]
