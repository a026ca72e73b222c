"""An event: what happened to what, and when."""

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened.

    `type` is the kind of thing ("container", "image", "network", "volume", "daemon", "builder", …),
    `action` what happened to it ("start", "die", "exec_create: ls -l", "health_status: healthy"),
    `actor_id` which one (an id, a name for volumes and images), `attributes` its labels and what the
    action adds ("exitCode"). `time_ns` is Unix nanoseconds.
    """

    type: str
    action: str
    actor_id: str
    attributes: dict[str, str]
    time_ns: int
    scope: str = "local"
