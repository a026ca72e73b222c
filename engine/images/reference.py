"""Names of images: the grammar of distribution references, with Docker's normalisation and its texts.

A *familiar* form is what people type (`busybox`), a *canonical* one what is meant
(`docker.io/library/busybox:latest`).
"""

import re

import msgspec

import errdefs

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_MAX_PATH = 255
_MAX_TEXT = 4096  # no valid reference of a registry in use comes near

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REMOTE = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_REFERENCE = re.compile(rf"(?:({_DOMAIN})/)?({_REMOTE})(?::({_TAG}))?(?:@({_DIGEST}))?")
_TAG_ONLY = re.compile(_TAG)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_DIGEST_SHAPE = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class Reference(msgspec.Struct, frozen=True):
    """A repository (`domain`/`path`), with a tag, a digest, both or neither ("" where absent)."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The canonical repository name: `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people type it: `busybox`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        rest = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in rest else rest

    @property
    def canonical(self) -> str:
        """The whole reference in canonical form."""
        return self.name + self._suffix()

    @property
    def familiar(self) -> str:
        """The whole reference as people type it."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> "Reference":
        """Itself, or tagged `latest` where it has neither tag nor digest."""
        return self if self.tag or self.digest else msgspec.structs.replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> "Reference":
        """The repository under this tag. InvalidArgument: "invalid tag format"."""
        if not _TAG_ONLY.fullmatch(tag):
            raise errdefs.InvalidArgument("invalid tag format")
        return msgspec.structs.replace(self, tag=tag)

    def with_digest(self, digest: str) -> "Reference":
        """The repository at this digest, without a tag."""
        return Reference(self.domain, self.path, digest=validate_digest(digest))

    def stored(self) -> "Reference":
        """The form under which a store keeps it: a digest wins over a tag, no tag is `latest`."""
        return msgspec.structs.replace(self, tag="") if self.digest else self.with_default_tag()


def parse(text: str) -> Reference:
    """The reference that a person's text means. InvalidArgument with the texts of Docker's parser."""
    if _IDENTIFIER.fullmatch(text):
        raise errdefs.InvalidArgument(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, remainder = _split_domain(text)
    remote = remainder.split(":", 1)[0]
    if remote != remote.lower():
        raise errdefs.InvalidArgument(
            f"invalid reference format: repository name ({remote}) must be lowercase"
        )
    return _match(f"{domain}/{remainder}")


def parse_any(text: str) -> Reference | str:
    """A reference, or the digest that a text of 64 hex digits or `sha256:…` is."""
    if _IDENTIFIER.fullmatch(text):
        return f"sha256:{text}"
    try:
        return validate_digest(text)
    except errdefs.InvalidArgument:
        return parse(text)


def parse_repo_tag(repo: str, tag: str) -> Reference | None:
    """The `repo` and `tag` query parameters of create, import and tag; None where both say nothing.

    InvalidArgument for a digest: an image cannot be created under one.
    """
    if not repo:
        return None
    reference = parse(repo)
    if reference.digest:
        raise errdefs.InvalidArgument("cannot import digest reference")
    if tag:
        return reference.with_tag(tag)
    return reference.with_default_tag()


def validate_digest(text: str) -> str:
    """The text itself if it is a whole digest of a known algorithm. InvalidArgument otherwise."""
    algorithm, colon, encoded = text.partition(":")
    if not algorithm or not colon or not encoded or not _DIGEST_SHAPE.fullmatch(text):
        raise errdefs.InvalidArgument("invalid checksum digest format")
    length = _HEX_LENGTHS.get(algorithm)
    if length is None:
        raise errdefs.InvalidArgument("unsupported digest algorithm")
    if len(encoded) != length:
        raise errdefs.InvalidArgument("invalid checksum digest length")
    if not re.fullmatch(r"[a-f0-9]+", encoded):
        raise errdefs.InvalidArgument("invalid checksum digest format")
    return text


def short_id(digest: str) -> str:
    """The twelve digits by which an id is shown."""
    return digest.rsplit(":", 1)[-1][:12]


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, _OFFICIAL + text
    if first == _LEGACY_DOMAIN:
        domain, remote = DEFAULT_DOMAIN, rest
    elif first == "localhost" or "." in first or ":" in first or first != first.lower():
        domain, remote = first, rest
    else:
        domain, remote = DEFAULT_DOMAIN, text
    if domain == DEFAULT_DOMAIN and "/" not in remote:
        remote = _OFFICIAL + remote
    return domain, remote


def _match(text: str) -> Reference:
    found = _REFERENCE.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise errdefs.InvalidArgument("invalid reference format")
    domain, path, tag, digest = found.groups(default="")
    if len(path) > _MAX_PATH:
        raise errdefs.InvalidArgument(f"repository name must not be more than {_MAX_PATH} characters")
    return Reference(domain, path, tag, validate_digest(digest) if digest else "")
