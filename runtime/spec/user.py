"""Who a process runs as: Docker's "user[:group]" resolved against a container's passwd and group files."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from errdefs import InvalidArgument

MAX_ID = (1 << 31) - 1
"""The largest uid and gid: the kernel would take more, containerd and Docker do not."""

_MAX_FILE = 16 << 20
_MAX_GROUPS = 65536  # NGROUPS_MAX
_MAX_LINE = 1 << 20  # a group's member list may be long; anything longer is not a group file
_NUMBER = re.compile(r"[+-]?[0-9]+")
_OUT_OF_RANGE = f"uids and gids must be in range 0-{MAX_ID}"


class User(NamedTuple):
    """A resolved user: ids, supplementary groups as the spec takes them, and the home directory.

    `home` is "" when passwd has no entry: then the runtime decides on HOME.
    """

    uid: int = 0
    gid: int = 0
    extra_gids: tuple[int, ...] = ()
    home: str = ""


class _Account(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: str  # separated by commas


def resolve(user: str, groups: Sequence[str], passwd: bytes | None, group: bytes | None) -> User:
    """Return who `user` is, with Docker's semantics.

    `user` is "", "name", "uid", "name:group", "uid:gid" …; a number is always an id, never a name. "" is
    uid 0. Without an explicit group the account's own groups are supplementary; the primary gid and `groups`
    (HostConfig.GroupAdd: names or gids) always are. `passwd` and `group` are the files' bytes, None when
    they do not exist. Raises InvalidArgument with Docker's texts for unknown names and ids out of range.
    """
    wanted, _, rest = user.partition(":")
    wanted_group = rest.partition(":")[0]
    uid, gid = _number(wanted), _number(wanted_group)
    account = _find_account(wanted, uid, passwd)
    primary = account.gid
    members: list[int] = []
    if wanted_group:
        primary = _find_group(wanted_group, gid, group)
    elif account.name:
        members = _memberships(account.name, group)
    added = [_find_group(name, _number(name), group) for name in groups]
    extra = tuple(dict.fromkeys((primary, *members, *added)))
    _check_range((account.uid, *extra))
    return User(uid=account.uid, gid=primary, extra_gids=extra, home=account.home)


def _number(value: str) -> int | None:
    """Return an id in range, None when `value` is a name (Go's Atoi decides: signs count as numbers)."""
    if not _NUMBER.fullmatch(value):
        return None
    if len(value) > 20 or not 0 <= int(value) <= MAX_ID:
        raise InvalidArgument(_OUT_OF_RANGE)
    return int(value)


def _check_range(ids: Sequence[int]) -> None:
    """Refuse ids that came out of the image's files: -1 would be root's neighbour after a cast."""
    if any(not 0 <= number <= MAX_ID for number in ids):
        raise InvalidArgument(_OUT_OF_RANGE)


def _find_account(wanted: str, uid: int | None, passwd: bytes | None) -> _Account:
    looked_for = 0 if not wanted else uid
    for account in _accounts(passwd):
        if account.uid == looked_for if looked_for is not None else account.name == wanted:
            return account
    if looked_for is None:
        raise InvalidArgument(f"unable to find user {wanted}: no matching entries in passwd file")
    return _Account("", looked_for, 0, "")


def _memberships(name: str, group: bytes | None) -> list[int]:
    """The groups that name an account, each once and no more than a process can have."""
    found: dict[int, None] = {}
    if "," in name:
        return []
    for entry in _groups(group):
        if f",{name}," in f",{entry.members},":
            found[entry.gid] = None
            if len(found) > _MAX_GROUPS:
                raise InvalidArgument(f"user {name} is in more than {_MAX_GROUPS} groups")
    return list(found)


def _find_group(wanted: str, gid: int | None, group: bytes | None) -> int:
    for entry in _groups(group):
        if entry.gid == gid if gid is not None else entry.name == wanted:
            return entry.gid
    if gid is None:
        raise InvalidArgument(f"unable to find group {wanted}: no matching entries in group file")
    return gid


def _accounts(passwd: bytes | None) -> Iterator[_Account]:
    for line in _lines(passwd, "passwd"):
        fields = [*line.split(":", 7), *[""] * 7]
        yield _Account(fields[0], _lenient(fields[2]), _lenient(fields[3]), fields[5])


def _groups(group: bytes | None) -> Iterator[_Group]:
    for line in _lines(group, "group"):
        if line.startswith("#"):
            continue
        fields = [*line.split(":", 4), *[""] * 4]
        yield _Group(fields[0], _lenient(fields[2]), fields[3])


def _lenient(value: str) -> int:
    """Return a number of an account file; what is none is 0, as Docker reads it, what is huge is refused."""
    if not _NUMBER.fullmatch(value):
        return 0
    return int(value) if len(value) <= 20 else MAX_ID + 1


def _lines(content: bytes | None, name: str) -> Iterator[str]:
    if content is None:
        return
    if len(content) > _MAX_FILE:
        raise InvalidArgument(f"/etc/{name} of the container is larger than {_MAX_FILE} bytes")
    at = 0
    while at < len(content):  # not all lines at once: there may be millions
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        if end - at > _MAX_LINE:
            raise InvalidArgument(f"/etc/{name} of the container has a line longer than {_MAX_LINE} bytes")
        line = content[at:end].strip().decode("utf-8", "surrogateescape")
        at = end + 1
        if line:
            yield line
