"""Messages about kinds of interfaces, encoded by pyroute2, without what its package imports by itself.

Its `__init__` loads 140 modules, of which these need none: 8 MB and 70 ms. What is needed takes 15 ms, and is loaded
for the first interface that is made: a daemon that finds its bridge there needs none.
"""

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from plugins.loading import enter

_PACKAGE: Final = "pyroute2"
_RTNL: Final = f"{_PACKAGE}.netlink.rtnl"
_HEADER: Final = 16  # bytes of a message before that of its kind


@cache
def _ifinfmsg() -> Any:
    """A class of nlmsg, without types. Blocks, the first time: for the worker's thread."""
    enter(_PACKAGE)
    ipvlan = importlib.import_module(f"{_RTNL}.ifinfmsg.plugins.ipvlan").ipvlan
    ipvlan.nla_map = (*ipvlan.nla_map, ("IFLA_IPVLAN_FLAGS", "uint16"))  # which it does not know
    return importlib.import_module(f"{_RTNL}.ifinfmsg").ifinfmsg


def link(index: int = 0, *, flags: int = 0, change: int = 0, attrs: Sequence[tuple[str, Any]] = ()) -> bytes:
    """The body of a message about an interface; `attrs` by pyroute2's names and values."""
    message = _ifinfmsg()()
    message["index"], message["flags"], message["change"] = index, flags, change
    message["attrs"] = list(attrs)
    message.encode()
    data = bytes(message.data)
    return data[_HEADER:] + bytes(-len(data) % 4)
