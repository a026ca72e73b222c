"""Which network a name or an ID means."""

from collections.abc import Iterable

import errdefs
from network.drivers.driver import NetworkInfo


class Ambiguous(errdefs.InvalidArgument):
    """A prefix of more than one network's ID."""

    def __init__(self, reference: str, count: int) -> None:
        super().__init__(f"network {reference} is ambiguous ({count} matches found based on ID prefix)")
        self.count = count


def find(networks: Iterable[NetworkInfo], reference: str) -> NetworkInfo:
    """The network with that ID, else with that name (no two have one), else the only one whose ID begins so.

    NotFound and Ambiguous in Docker's words.
    """
    every = list(networks)
    found = (
        [each for each in every if each.id == reference]
        or [each for each in every if each.name == reference]
        or [each for each in every if each.id.startswith(reference)]
    )
    if not found:
        raise errdefs.NotFound(f"network {reference} not found")
    if len(found) > 1:
        raise Ambiguous(reference, len(found))
    return found[0]
