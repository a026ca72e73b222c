"""Names of git repositories, as BuildKit takes them: `https://host/x.git#ref:directory`, `git@host:x.git`. Pure."""

import posixpath
import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import errdefs
from engine.veiled import Veiled

_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
_SCHEMES = frozenset({"ssh", "git"})  # and http and https for what is called so
_HOST = re.compile(r"[a-z0-9_.:\[][a-z0-9_.:%\]-]*")
_SCP = re.compile(
    r"(?P<user>[a-zA-Z0-9_.-]+)@(?P<host>[a-zA-Z0-9.\[\]:-]*[a-zA-Z0-9.\]]):(?P<path>[^?#]*)(?P<rest>.*)",
    re.DOTALL,
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHECKSUM = re.compile(r"[0-9a-fA-F]{4,64}")
_BAD_REF = re.compile(r"^-|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock$|/$")
_TRUE = frozenset({"", "1", "t", "true", "True", "TRUE", "T"})
_FALSE = frozenset({"0", "f", "false", "False", "FALSE", "F"})


class Repository(Veiled, frozen=True, kw_only=True):
    """A commit of a repository. `remote` has no user and password of HTTP, which are in `authorization`.

    `ref` "" is the default branch; `checksum`, which the commit must begin with, may be "".
    """

    remote: str
    ref: str = ""
    subdirectory: str = ""
    checksum: str = ""
    keep_git_dir: bool = False
    submodules: bool = True
    authorization: tuple[str, str] | None = None

    @property
    def is_commit(self) -> bool:
        """Whether `ref` is a commit by its number."""
        return _COMMIT.fullmatch(self.ref) is not None


def parse(text: str, *, context: bool = False) -> Repository | None:
    """Read a name, None for what names no repository. A `context` may also be "github.com/…".

    InvalidArgument for one that is malformed.
    """
    if context and text.startswith("github.com/"):
        text = f"https://{text}"
    elif (found := _SCHEME.match(text)) is None:
        return _of_scp(text)
    elif not _is_git(found[1].lower(), text):
        return None
    parts = _split(text)
    if not _HOST.fullmatch(parts.hostname or ""):
        raise errdefs.InvalidArgument(f"{redacted(text)}: no host")
    authorization = None
    netloc = parts.netloc
    if parts.scheme in ("http", "https"):
        _, at, netloc = parts.netloc.rpartition("@")
        if at:
            authorization = (unquote(parts.username or ""), unquote(parts.password or ""))
    remote = f"{parts.scheme}://{netloc}{parts.path}"
    return _with_options(Repository(remote=remote, authorization=authorization), parts.fragment, parts.query)


def _is_git(scheme: str, text: str) -> bool:
    if scheme in ("http", "https"):
        return _split(text).path.endswith(".git")
    return scheme in _SCHEMES


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise errdefs.InvalidArgument(f"{redacted(text)}: {error}") from None
    return parts


def _of_scp(text: str) -> Repository | None:
    found = _SCP.fullmatch(text)
    if found is None or found["host"].startswith("-"):
        return None
    rest, _, fragment = found["rest"].partition("#")
    repository = Repository(remote=f"{found['user']}@{found['host']}:{found['path']}")
    return _with_options(repository, fragment, rest.removeprefix("?"))


def _with_options(repository: Repository, fragment: str, query: str) -> Repository:
    ref, _, subdirectory = fragment.partition(":")
    options = {"ref": ref, "subdir": subdirectory, "checksum": ""}
    flags = {"keep-git-dir": False, "submodules": True}
    for name, value in parse_qsl(query, keep_blank_values=True):
        match name:
            case "keep-git-dir" | "submodules":
                flags[name] = _flag(name, value)
            case "tag" | "branch":
                kind = "tags" if name == "tag" else "heads"
                _set(options, "ref", f"refs/{kind}/{value.removeprefix(f'refs/{kind}/')}")
            case "commit" | "checksum":
                _set(options, "checksum", value)
            case "ref" | "subdir":
                _set(options, name, value)
            case _:
                raise errdefs.InvalidArgument(f'unexpected query "{name}"')
    _check(options["ref"], options["checksum"])
    return Repository(
        remote=repository.remote,
        authorization=repository.authorization,
        ref=options["ref"],
        subdirectory=posixpath.normpath("/" + options["subdir"]).strip("/"),
        checksum=options["checksum"].lower(),
        keep_git_dir=flags["keep-git-dir"],
        submodules=flags["submodules"],
    )


def _flag(name: str, value: str) -> bool:
    if value not in _TRUE | _FALSE:
        raise errdefs.InvalidArgument(f'invalid {name} value: "{value}"')
    return value in _TRUE


def _set(options: dict[str, str], name: str, value: str) -> None:
    if not value:
        raise errdefs.InvalidArgument(f'query "{name}" has no value')
    if options[name] not in ("", value):
        raise errdefs.InvalidArgument(f'{name} conflicts: "{options[name]}" vs "{value}"')
    options[name] = value


def _check(ref: str, checksum: str) -> None:
    if ref and _BAD_REF.search(ref):
        raise errdefs.InvalidArgument(f'invalid git ref: "{ref}"')
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise errdefs.InvalidArgument(f"invalid checksum {checksum} for Git URL, expected hex commit hash")


def redacted(text: str) -> str:
    """A name without user and password."""
    return re.sub(r"^([^/?#]*://)[^/?#]*@", r"\1", text)
