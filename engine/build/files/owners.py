"""Who files are to belong to, as Docker's first builder reads `--chown`: names have to be in the root's own files."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import msgspec

import errdefs
from engine.build.refs import Ref
from engine.build.steps import Action, Copy, Files
from engine.build.workspace import Workspaces
from runtime.paths import read_in_root
from runtime.spec import user

_NUMBERS = re.compile(r"[+-]?[0-9]+(?::[+-]?[0-9]+)?")
_REMEMBERED = 1024  # owners
_LIMIT = 16 << 20  # bytes of a file with names


class Owners:
    """Turns names into numbers. A user without a group has the group of the same name, or number."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def numbered(self, step: Files, root: Ref) -> Files:
        """The same step with numbers. The layers of `root` are held. InvalidArgument, in Docker's words, for names that
        are not there.
        """
        actions = [await self._action(action, root) for action in step.actions]
        return step if actions == list(step.actions) else msgspec.structs.replace(step, actions=actions)

    async def _action(self, action: Action, root: Ref) -> Action:
        if not isinstance(action, Copy) or not action.owner or _NUMBERS.fullmatch(action.owner):
            return action
        key = root.chain_id, action.owner
        if key not in self._known:
            async with self._workspaces.view(root) as place:
                self._known[key] = await asyncio.to_thread(_resolve, action.owner, place)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return msgspec.structs.replace(action, owner=self._known[key])


def _resolve(owner: str, root: Path) -> str:
    try:
        name, *others = owner.split(":")
        if len(others) > 1:
            raise errdefs.InvalidArgument(f"invalid chown string format: {owner}")
        uid = _number("uid", "user", name, root, "/etc/passwd", _user)
        gid = _number("gid", "group", others[0] if others else name, root, "/etc/group", _group)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(
            f"unable to convert uid/gid chown string to host mapping: {error.message}"
        ) from None
    return f"{uid}:{gid}"


def _number(
    what: str, of: str, name: str, root: Path, file: str, find: Callable[[str, bytes | None], int]
) -> int:
    if re.fullmatch(r"[+-]?[0-9]+", name):
        return find(name, None)
    content = read_in_root(root, file, _LIMIT)
    if content is None:
        reason = f"open {file}: no such file or directory"
    else:
        try:
            return find(name, content)
        except errdefs.InvalidArgument:
            reason = f"no such {of}: {name}"
    raise errdefs.InvalidArgument(f"can't find {what} for {of} {name}: {reason}")


def _user(name: str, passwd: bytes | None) -> int:
    if not name:
        raise errdefs.InvalidArgument("no name")  # where containers are root's
    return user.resolve(name, (), passwd, None).uid


def _group(name: str, group: bytes | None) -> int:
    if not name:
        raise errdefs.InvalidArgument("no name")
    return user.resolve(f"0:{name}", (), None, group).gid
