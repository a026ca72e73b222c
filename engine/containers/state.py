"""The states of a container, and which action is allowed in which, as data."""

from enum import StrEnum

import errdefs


class Status(StrEnum):
    """A container's state by Docker's words (`State.Status`)."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Action(StrEnum):
    """What may be asked of a container, or happen to it."""

    START = "start"
    STOP = "stop"
    KILL = "kill"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    EXEC = "exec"
    ATTACH = "attach"
    TOP = "top"
    RESIZE = "resize"
    REMOVE = "remove"
    EXIT = "exit"


class Verdict(StrEnum):
    """What the state says to an action."""

    ALLOWED = "allowed"
    NOT_MODIFIED = "not modified"
    REFUSED = "refused"


_YES, _SAME, _NO = Verdict.ALLOWED, Verdict.NOT_MODIFIED, Verdict.REFUSED


def _row(**verdicts: Verdict) -> dict[Action, Verdict]:
    return {action: verdicts.get(action.value, _NO) for action in Action}


_STOPPED = _row(start=_YES, stop=_SAME, attach=_YES, remove=_YES)

TRANSITIONS: dict[Status, dict[Action, Verdict]] = {
    Status.CREATED: _STOPPED,
    Status.EXITED: _STOPPED,
    Status.RUNNING: _row(
        start=_SAME,
        stop=_YES,
        kill=_YES,
        pause=_YES,
        exec=_YES,
        attach=_YES,
        top=_YES,
        resize=_YES,
        exit=_YES,
    ),
    Status.PAUSED: _row(stop=_YES, kill=_YES, unpause=_YES, top=_YES, resize=_YES, exit=_YES),
    Status.RESTARTING: _row(start=_YES, stop=_YES, kill=_YES),
    Status.REMOVING: _row(),
    Status.DEAD: _row(remove=_YES),
}


def refusal(action: Action, status: Status, container_id: str, name: str) -> errdefs.WherryError:
    """The error, in Docker's words, of an action that a state does not allow."""
    texts: dict[tuple[Action, Status], str] = {
        (Action.START, Status.PAUSED): "cannot start a paused container, try unpause instead",
        (Action.START, Status.REMOVING): "container is marked for removal and cannot be started",
        (Action.START, Status.DEAD): "container is marked for removal and cannot be started",
        (Action.PAUSE, Status.PAUSED): f"Container {container_id} is already paused",
        (
            Action.PAUSE,
            Status.RESTARTING,
        ): f"Container {container_id} is restarting, wait until the container is running",
        (Action.EXEC, Status.PAUSED): f"Container {name} is paused, unpause the container before exec",
        (
            Action.EXEC,
            Status.RESTARTING,
        ): f"Container {container_id} is restarting, wait until the container is running",
        (
            Action.ATTACH,
            Status.PAUSED,
        ): f"container {name} is paused, unpause the container before attach",
        (
            Action.ATTACH,
            Status.RESTARTING,
        ): f"container {container_id} is restarting, wait until the container is running",
        (
            Action.TOP,
            Status.RESTARTING,
        ): f"Container {container_id} is restarting, wait until the container is running",
        (Action.UNPAUSE, Status.RUNNING): f"Container {container_id} is not paused",
    }
    if (action, status) in texts:
        return errdefs.Conflict(texts[action, status])
    if action is Action.REMOVE:
        return _removal_refusal(status, container_id, name)
    if action is Action.UNPAUSE:
        return errdefs.Conflict(f"Container {container_id} is not paused")
    return errdefs.Conflict(f"container {container_id} is not running")


def _removal_refusal(status: Status, container_id: str, name: str) -> errdefs.Conflict:
    if status is Status.REMOVING:
        return errdefs.Conflict(f"removal of container {container_id} is already in progress")
    if status is Status.PAUSED:
        remedy = "container is paused and must be unpaused first"
    else:
        remedy = f"container is {status}: stop the container before removing or force remove"
    return errdefs.Conflict(f'cannot remove container "/{name}": {remedy}')


def require(action: Action, status: Status, container_id: str, name: str) -> None:
    """Pass if the state allows the action; else NotModified or Conflict with Docker's text."""
    verdict = TRANSITIONS[status][action]
    if verdict is Verdict.NOT_MODIFIED:
        raise errdefs.NotModified(f"container {container_id} is already as asked")
    if verdict is Verdict.REFUSED:
        raise refusal(action, status, container_id, name)
