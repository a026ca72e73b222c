"""Which networks pass a list's filters."""

from collections.abc import Collection, Iterable

import errdefs
from engine.filters import Filters
from engine.networks import predefined
from network.drivers.driver import NetworkInfo

FILTERS = frozenset(("dangling", "driver", "id", "label", "name", "scope", "type"))


def select(networks: Iterable[NetworkInfo], wanted: Filters, used: Collection[str]) -> list[NetworkInfo]:
    """Those that pass. `used` are the IDs of the networks that containers are in; predefined ones always count as used.

    InvalidArgument for filters that mean nothing.
    """
    dangling = _dangling(wanted)
    kinds = wanted.values("type")
    for kind in kinds:
        if kind not in ("builtin", "custom"):
            raise errdefs.InvalidArgument(f"invalid filter: 'type'='{kind}'")
    return [
        each
        for each in networks
        if wanted.match("name", each.name)
        and wanted.match("id", each.id)
        and wanted.exact("driver", each.driver)
        and wanted.exact("scope", each.scope)
        and wanted.labels("label", each.labels)
        and (not kinds or _kind(each) in kinds)
        and (dangling is None or dangling is not (each.name in predefined.NAMES or each.id in used))
    ]


def _kind(network: NetworkInfo) -> str:
    return "builtin" if network.name in predefined.NAMES else "custom"


def _dangling(wanted: Filters) -> bool | None:
    values = wanted.values("dangling")
    if not values:
        return None
    if len(values) > 1:
        raise errdefs.InvalidArgument('got more than one value for filter key "dangling"')
    if values[0] not in ("0", "1", "false", "true"):
        raise errdefs.InvalidArgument(
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
        )
    return values[0] in ("1", "true")
