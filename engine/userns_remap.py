"""`userns-remap`: whose subordinate ids containers get, from the accounts of this host and /etc/subuid, /etc/subgid."""

import grp
import logging
import pwd
import re
from pathlib import Path

import errdefs
from runtime.spawn import run
from runtime.spec.identity import HOST, Identity, IdRange

_log = logging.getLogger(__name__)
DEFAULT = "default"
ACCOUNT = "dockremap"
"""Docker's own, which `default` makes if it is not there."""
ETC = Path("/etc")
"""Where subuid and subgid are; the tests have their own."""
_NUMBER = re.compile(r"[0-9]{1,10}")
_COUNT = 65536
_FIRST = 100000  # of ranges that are made, as useradd's
_MAX_RANGES = 339  # 340 lines of a map, and one is the host's root
_TIMEOUT = 20.0


async def identity_of(setting: str) -> Identity:
    """Who containers are by default: HOST for "". Reads files; `default` may make an account.

    `setting` is "default", "user", "user:group", "uid", "uid:gid" or a mix. InvalidArgument in Docker's words, with
    what to do where that is not plain.
    """
    if not setting:
        return HOST
    account = _account(setting)
    if account is None:
        await _make_account()
        account = _found_account(ACCOUNT)
    if account.pw_uid == 0:
        _log.warning("userns-remap: root cannot be remapped with itself; user namespaces are off")
        return HOST
    return Identity(uids=_ranges("subuid", account), gids=_ranges("subgid", account))


def _account(setting: str) -> pwd.struct_passwd | None:
    """The account whose ranges count; the group has only to be there, as in Docker. None: to be made."""
    user, colon, group = setting.partition(":")
    if ":" in group:
        raise errdefs.InvalidArgument(f'invalid user/group specification in --userns-remap: "{setting}"')
    if user == DEFAULT:
        try:
            account = pwd.getpwnam(ACCOUNT)
        except KeyError:
            return None
        user = ACCOUNT
    else:
        account = _found_account(user)
    _require_group(group if colon else user)
    return account


def _found_account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if _NUMBER.fullmatch(user) else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        text = f"uid {user} has no entry in /etc/passwd" if _NUMBER.fullmatch(user) else ""
        raise errdefs.InvalidArgument(
            text or f'error during uid lookup for "{user}": no matching entries in passwd file'
        ) from None


def _require_group(group: str) -> None:
    try:
        if _NUMBER.fullmatch(group):
            grp.getgrgid(int(group))
        else:
            grp.getgrnam(group)
    except (KeyError, OverflowError):
        text = f"gid {group} has no entry in /etc/group" if _NUMBER.fullmatch(group) else ""
        raise errdefs.InvalidArgument(
            text or f'error during gid lookup for "{group}": no matching entries in group file'
        ) from None


def _ranges(name: str, account: pwd.struct_passwd) -> tuple[IdRange, ...]:
    """The ranges of an account, one after the other in the container, in the order of the file."""
    found: list[IdRange] = []
    for owner, start, size in _entries(name):
        if owner in (account.pw_name, str(account.pw_uid)) and size:
            inside = found[-1].inside + found[-1].size if found else 0
            found.append(IdRange(inside, start, size))
    if not found:
        raise errdefs.InvalidArgument(
            f'userns-remap: no {name} ranges found for user "{account.pw_name}": add a line such as'
            f' "{account.pw_name}:{_FIRST}:{_COUNT}" to /etc/{name}'
        )
    if len(found) > _MAX_RANGES:
        raise errdefs.InvalidArgument(
            f"userns-remap: /etc/{name} has more than {_MAX_RANGES} ranges for {account.pw_name}"
        )
    return tuple(found)


def _entries(name: str) -> list[tuple[str, int, int]]:
    """(account's name or id, first id, count) of each line of a file that may be absent."""
    path = ETC / name
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errdefs.InvalidArgument(f"userns-remap: cannot read {path}: {error.strerror}") from error
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        owner, *numbers = line.strip().split(":")
        if len(numbers) != 2 or not all(map(_NUMBER.fullmatch, numbers)):
            raise errdefs.InvalidArgument(
                f"userns-remap: {path}, line {number}: must be formatted account:first:count: {line}"
            )
        entries.append((owner, int(numbers[0]), int(numbers[1])))
    return entries


async def _make_account() -> None:
    """Docker's account, by the host's own tools, with ranges of its own behind all others."""
    taken = [start + size for name in ("subuid", "subgid") for _, start, size in _entries(name)]
    first = max([_FIRST, *taken])
    last = first + _COUNT - 1
    await _run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", ACCOUNT)
    if not any(owner == ACCOUNT for owner, _, _ in _entries("subuid")):
        await _run("usermod", "--add-subuids", f"{first}-{last}", "--add-subgids", f"{first}-{last}", ACCOUNT)
    _log.info("userns-remap: made the account %s", ACCOUNT)


async def _run(*argv: str) -> None:
    try:
        done = await run(argv, timeout=_TIMEOUT)
        said, failed = done.stderr.decode(errors="replace").strip(), done.returncode != 0
    except (OSError, TimeoutError) as error:
        said, failed = getattr(error, "strerror", "") or "timed out", True
    if failed:
        raise errdefs.InvalidArgument(
            f'error during "{ACCOUNT}" user creation: {argv[0]}: {said}: make the account and group {ACCOUNT}, and'
            " give it ranges in /etc/subuid and /etc/subgid"
        )
