"""Classes of failure, by what the caller may do about them.

Code of every package raises these; `api.errors` alone turns a class into an HTTP status. The message is shown to a
person by the client: it says what failed, on what, and what to do. A leaf: imports nothing.
"""


class WherryError(Exception):
    """A failure with a message meant for the person who asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(WherryError):
    """The request can never succeed as it is (400)."""


class Unauthorized(WherryError):
    """Credentials are missing or wrong (401)."""


class Forbidden(WherryError):
    """The request is understood and refused (403)."""


class NotFound(WherryError):
    """What is named does not exist (404)."""


class Conflict(WherryError):
    """The state of an object stands against the request (409)."""


class NotModified(WherryError):
    """The object already is as asked: starting what runs, stopping what is stopped (304)."""


class TooManyRequests(WherryError):
    """A registry was asked too often (429)."""


class Unsupported(WherryError):
    """This engine does not do that (501)."""


class Unavailable(WherryError):
    """Not now: the daemon is going down, or outside a swarm (503)."""


class SystemFailure(WherryError):
    """The host failed: kernel, disk, runtime (500). The message names what and why."""
