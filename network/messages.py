"""Messages about kinds of interfaces, encoded by pyroute2, without what its package imports by itself.

Its `__init__` loads 140 modules, of which these need none: 8 MB and 70 ms in every daemon.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Final

from plugins.loading import enter

_PACKAGE: Final = "pyroute2"
_RTNL: Final = f"{_PACKAGE}.netlink.rtnl"
_HEADER: Final = 16  # bytes of a message before that of its kind


enter(_PACKAGE)
# Without types: a class of nlmsg.
ifinfmsg: Any = importlib.import_module(f"{_RTNL}.ifinfmsg").ifinfmsg
_ipvlan: Any = importlib.import_module(f"{_RTNL}.ifinfmsg.plugins.ipvlan").ipvlan
_ipvlan.nla_map = (*_ipvlan.nla_map, ("IFLA_IPVLAN_FLAGS", "uint16"))  # which it does not know


def link(index: int = 0, *, flags: int = 0, change: int = 0, attrs: Sequence[tuple[str, Any]] = ()) -> bytes:
    """The body of a message about an interface; `attrs` by pyroute2's names and values."""
    message = ifinfmsg()
    message["index"], message["flags"], message["change"] = index, flags, change
    message["attrs"] = list(attrs)
    message.encode()
    data = bytes(message.data)
    return data[_HEADER:] + bytes(-len(data) % 4)
