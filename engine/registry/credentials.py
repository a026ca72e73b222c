"""What a client gives to be let in at a registry. Secrets show in no repr and in no message."""

import base64
import binascii

import msgspec

import errdefs
from engine.images import documents
from engine.veiled import Veiled

_HEADER = "X-Registry-Auth header"
_CONFIG = "X-Registry-Config header"


class Credentials(Veiled, frozen=True):
    """A user with a password, or a token: one to get tokens with (identity), or one to show (registry)."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def basic(self) -> str:
        """The value of an Authorization header by user and password, "" without both."""
        if not (self.username and self.password):
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def redact(self, text: str) -> str:
        """The text without any of the secrets."""
        for secret in (
            self.basic.removeprefix("Basic "),
            self.password,
            self.identity_token,
            self.registry_token,
        ):
            if secret:
                text = text.replace(secret, "xxxxx")
        return text


class _AuthConfig(msgspec.Struct):
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


def decode(header: str) -> Credentials | None:
    """The credentials of an `X-Registry-Auth` header (base64url of JSON, padded or not); None if it has none.

    InvalidArgument for what cannot be read, without a word of it.
    """
    text = header.strip().rstrip("=")
    if not text:
        return None
    try:
        raw = _decoded(text)
    except (binascii.Error, ValueError):
        raise errdefs.InvalidArgument(f"invalid {_HEADER}: illegal base64 data") from None
    try:
        given = documents.read(raw, _AuthConfig, _HEADER)
    except errdefs.InvalidArgument:
        raise errdefs.InvalidArgument(f"invalid {_HEADER}: not the JSON of credentials") from None
    return _of(given)


def decode_all(header: str) -> dict[str, Credentials]:
    """The credentials of an `X-Registry-Config` header by registry; what cannot be read is nobody's, as in Docker."""
    try:
        given = documents.shape(
            documents.decode(_decoded(header.strip().rstrip("=")), _CONFIG), dict[str, _AuthConfig], _CONFIG
        )
        found = {registry: _of(each) for registry, each in given.items()}
    except (binascii.Error, ValueError, errdefs.InvalidArgument):
        return {}
    return {registry: each for registry, each in found.items() if each is not None}


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _of(given: _AuthConfig) -> Credentials | None:
    return checked(
        Credentials(
            username=given.username,
            password=given.password,
            identity_token=given.identitytoken,
            registry_token=given.registrytoken,
        )
    )


def decode_or_none(header: str) -> Credentials | None:
    """The same where one may do without: who cannot be understood is nobody, as in Docker."""
    try:
        return decode(header)
    except errdefs.InvalidArgument:
        return None


def checked(credentials: Credentials) -> Credentials | None:
    """The credentials, None for empty ones. InvalidArgument if a token cannot stand in a header."""
    if credentials == Credentials():
        return None
    if not is_printable(credentials.registry_token):
        raise errdefs.InvalidArgument("invalid registry token: it has characters that no header may have")
    return credentials


def is_printable(token: str) -> bool:
    """Whether a token is of the characters that a header may have."""
    return token.isascii() and (not token or token.isprintable())
