"""The door to networks: finds them by name or ID."""

import errdefs
from network.controller import Controller
from network.drivers.driver import NetworkInfo


class Networks:
    """All networks, the predefined ones among them."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def all(self) -> list[NetworkInfo]:
        """Every network there is."""
        return self._controller.networks()

    def find(self, reference: str) -> NetworkInfo:
        """A network by ID, else by name, else by a prefix of the ID that one network alone has.

        NotFound and InvalidArgument (ambiguous) in Docker's words.
        """
        every = self.all()
        exact = [each for each in every if each.id == reference] or [
            each for each in every if each.name == reference
        ]
        found = exact or [each for each in every if reference and each.id.startswith(reference)]
        if not found:
            raise errdefs.NotFound(f"network {reference} not found")
        if len(found) > 1:
            kind = "name" if exact else "ID prefix"
            raise errdefs.InvalidArgument(
                f"{len(found)} matches found based on {kind}: network {reference} is ambiguous"
            )
        return found[0]
