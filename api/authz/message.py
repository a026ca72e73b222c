"""What a plugin is told of a request and of its answer, by Docker's protocol (pkg/authorization/api.go). Pure."""

import base64
import ssl
from collections.abc import Iterable
from typing import Any, Final

Message = dict[str, Any]

# Secrets, as in Docker; and what Go's server takes out of a head before anybody sees it.
_UNTOLD: Final = frozenset({"Authorization", "X-Registry-Auth", "X-Registry-Config"})
_OF_THE_WIRE: Final = frozenset({"Host", "Trailer", "Transfer-Encoding"})


def of_client(tls: ssl.SSLObject | None) -> Message:
    """Who asks, by the certificate that was verified; nothing of who has shown none."""
    certificate = tls.getpeercert(binary_form=True) if tls else None
    if tls is None or certificate is None:
        return {}
    parts = (tls.getpeercert() or {}).get("subject", ())
    names = [str(pair[1]) for part in parts for pair in part if pair[0] == "commonName"]
    return {
        "User": "".join(names[-1:]),
        "UserAuthNMethod": "TLS",
        "RequestPeerCertificates": [_base64(ssl.DER_cert_to_PEM_cert(certificate).encode())],
    }


def of_request(
    client: Message, method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes
) -> Message:
    """AuthZPlugin.AuthZReq; what is empty is left out."""
    message: Message = {
        **client,
        "RequestMethod": method,
        "RequestUri": uri,
        "RequestBody": _base64(body),
        "RequestHeaders": _flat(headers),
    }
    return {key: value for key, value in message.items() if value}


def of_answer(request: Message, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Message:
    """AuthZPlugin.AuthZRes: the request again, and its answer; status 0 and nothing else once it is on its way."""
    answer: Message = {
        "ResponseStatusCode": status,
        "ResponseHeaders": _flat(headers),
        "ResponseBody": _base64(body),
    }
    return {**request, **{key: value for key, value in answer.items() if value}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _flat(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One value a name, written as Go does. Of a name that is given twice the first: it is what handlers read."""
    flat: dict[str, str] = {}
    for name, value in headers:
        written = "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))
        if written not in _UNTOLD and written not in _OF_THE_WIRE:
            flat.setdefault(written, value)
    return flat
