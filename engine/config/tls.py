"""The files that TLS on tcp:// takes, as dockerd finds them by its flags and its environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec


class TlsFiles(msgspec.Struct, frozen=True):
    """Paths of PEM files. With `verify` clients need a certificate that is signed by one of `authorities`."""

    certificate: str
    key: str
    authorities: str
    verify: bool


def tls_files(told: Mapping[str, Any], environment: Mapping[str, str]) -> TlsFiles | None:
    """The files by what was told under keys of the configuration; None where the API is served without TLS.

    Whoever says tlsverify at all wants TLS, even by saying that it is false.
    """
    verify = bool(told.get("tlsverify", environment.get("DOCKER_TLS_VERIFY")))
    if not (verify or "tlsverify" in told or told.get("tls")):
        return None
    usual = Path(environment.get("DOCKER_CERT_PATH") or Path(environment.get("HOME", "/"), ".docker"))

    def place(key: str, name: str) -> str:
        return str(told.get(key) or usual / name)

    return TlsFiles(
        certificate=place("tlscert", "cert.pem"),
        key=place("tlskey", "key.pem"),
        authorities=place("tlscacert", "ca.pem"),
        verify=verify,
    )
