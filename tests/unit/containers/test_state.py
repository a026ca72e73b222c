import pytest

import errdefs
from engine.containers.state import TRANSITIONS, Action, Status, Verdict, require

ALLOWED = {
    Status.CREATED: {Action.START, Action.ATTACH, Action.REMOVE},
    Status.EXITED: {Action.START, Action.ATTACH, Action.REMOVE},
    Status.RUNNING: {
        Action.STOP, Action.KILL, Action.PAUSE, Action.EXEC, Action.ATTACH, Action.TOP, Action.RESIZE, Action.EXIT,
    },
    Status.PAUSED: {Action.STOP, Action.KILL, Action.UNPAUSE, Action.TOP, Action.RESIZE, Action.EXIT},
    Status.RESTARTING: {Action.START, Action.STOP, Action.KILL},
    Status.REMOVING: set(),
    Status.DEAD: {Action.REMOVE},
}  # fmt: skip
SAME = {(Status.RUNNING, Action.START), (Status.CREATED, Action.STOP), (Status.EXITED, Action.STOP)}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("action", Action)
def test_every_action_in_every_state(status: Status, action: Action) -> None:
    verdict = TRANSITIONS[status][action]
    if action in ALLOWED[status]:
        assert verdict is Verdict.ALLOWED
        require(action, status, "abc", "web")
    elif (status, action) in SAME:
        with pytest.raises(errdefs.NotModified):
            require(action, status, "abc", "web")
    else:
        with pytest.raises(errdefs.Conflict):
            require(action, status, "abc", "web")


@pytest.mark.parametrize(
    ("action", "status", "text"),
    [
        (Action.START, Status.PAUSED, "cannot start a paused container, try unpause instead"),
        (Action.EXEC, Status.EXITED, "container abc is not running"),
        (Action.EXEC, Status.PAUSED, "Container web is paused, unpause the container before exec"),
        (Action.PAUSE, Status.PAUSED, "Container abc is already paused"),
        (Action.UNPAUSE, Status.RUNNING, "Container abc is not paused"),
        (
            Action.REMOVE,
            Status.RUNNING,
            'cannot remove container "/web": container is running: stop the container before removing or force remove',
        ),
        (
            Action.REMOVE,
            Status.PAUSED,
            'cannot remove container "/web": container is paused and must be unpaused first',
        ),
        (Action.REMOVE, Status.REMOVING, "removal of container abc is already in progress"),
    ],
)
def test_refusals_speak_as_docker_does(action: Action, status: Status, text: str) -> None:
    with pytest.raises(errdefs.Conflict) as refusal:
        require(action, status, "abc", "web")
    assert refusal.value.message == text
