"""Stands for the package of that name, whose `timeout` the standard library has by now."""

from asyncio import timeout

__all__ = ["timeout"]
