"""Who files are to belong to, as --chown says it; the root is our root."""

import re

from errdefs import InvalidArgument
from runtime.archive.writing import accounts
from runtime.spec import user

_NUMBER = re.compile(r"[+-]?[0-9]+")


def resolve(owner: str) -> tuple[int, int] | None:
    """The ids of "user[:group]", None for "". As in BuildKit a user's number is its group's, too, unless told, and a
    name that the root does not know is root's. InvalidArgument for a number out of range.
    """
    if not owner:
        return None
    name, told, group = owner.partition(":")
    uid, gid = _user(name)
    if told and group:
        gid = _group(group, gid)
    return uid, gid


def _user(name: str) -> tuple[int, int]:
    if name == "root":
        return 0, 0
    if _NUMBER.fullmatch(name):
        uid = user.resolve(name, (), None, None).uid
        return uid, uid
    try:
        found = user.resolve(name, (), accounts("/etc/passwd"), None)
    except InvalidArgument:
        return 0, 0
    return found.uid, found.gid


def _group(name: str, otherwise: int) -> int:
    if name == "root":
        return 0
    if _NUMBER.fullmatch(name):
        return user.resolve(f"0:{name}", (), None, None).gid
    try:
        return user.resolve(f"0:{name}", (), None, accounts("/etc/group")).gid
    except InvalidArgument:
        return otherwise
