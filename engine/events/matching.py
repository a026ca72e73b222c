"""Which events a filter lets through, by Docker's rules."""

from engine.events.event import Event
from engine.filters import Filters

# Their actions go on with a colon and free text, so a filter names only how they begin.
_OPEN_ENDED = frozenset({"exec_create", "exec_start", "health_status"})
_ACTOR_KINDS = ("daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config")


def matches(filters: Filters, event: Event) -> bool:
    """Whether the event passes all filters.

    A filter that names a kind of actor (`container=web`) compares with the actor's id and name, by
    prefix, whatever the event's own type is: that is how Docker does it.
    """
    if not filters:
        return True
    return (
        _matches_action(filters, event)
        and filters.exact("type", event.type)
        and filters.exact("scope", event.scope)
        and all(_matches_actor(filters, kind, event) for kind in _ACTOR_KINDS if kind in filters)
        and _matches_image(filters, event)
        and filters.labels("label", event.attributes)
    )


def _matches_action(filters: Filters, event: Event) -> bool:
    if _OPEN_ENDED.isdisjoint(filters.values("event")):
        return filters.exact("event", event.action)
    return filters.fuzzy("event", event.action)


def _matches_actor(filters: Filters, kind: str, event: Event) -> bool:
    return filters.fuzzy(kind, event.actor_id) or filters.fuzzy(kind, event.attributes.get("name", ""))


def _matches_image(filters: Filters, event: Event) -> bool:
    """Events of an image, and of containers made from it, by id or name, with or without the tag."""
    if "image" not in filters:
        return True
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    candidates = (event.actor_id, name, _familiar_name(event.actor_id), _familiar_name(name))
    return any(filters.exact("image", candidate) for candidate in candidates)


def _familiar_name(image: str) -> str:
    """`docker.io/library/alpine:3@sha256:…` gives `alpine`; what is no reference comes back as it is."""
    name = image.partition("@")[0]
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        name = name[:colon]
    for prefix in ("docker.io/library/", "docker.io/"):
        name = name.removeprefix(prefix)
    return name or image
