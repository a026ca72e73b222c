"""pyroute2's classes of rtnetlink messages, without what its package imports by itself.

Its `__init__` loads 140 modules, of which these need none: 8 MB and 70 ms in every daemon.
"""

import importlib
import importlib.util
import sys
from typing import Any

_PACKAGE = "pyroute2"
_RTNL = f"{_PACKAGE}.netlink.rtnl"


def _enter(package: str) -> None:
    """Have the package there for its modules to be found in, its own code not run, unless it was already."""
    spec = importlib.util.find_spec(package)
    if package not in sys.modules and spec is not None:
        sys.modules[package] = importlib.util.module_from_spec(spec)


_enter(_PACKAGE)
# Without types: each is a class of nlmsg.
ifaddrmsg: Any = importlib.import_module(f"{_RTNL}.ifaddrmsg").ifaddrmsg
ifinfmsg: Any = importlib.import_module(f"{_RTNL}.ifinfmsg").ifinfmsg
_ipvlan: Any = importlib.import_module(f"{_RTNL}.ifinfmsg.plugins.ipvlan").ipvlan
_ipvlan.nla_map = (*_ipvlan.nla_map, ("IFLA_IPVLAN_FLAGS", "uint16"))  # which it does not know
rtmsg: Any = importlib.import_module(f"{_RTNL}.rtmsg").rtmsg
