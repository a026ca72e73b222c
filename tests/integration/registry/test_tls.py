"""Registries with TLS: authorities, certificates of ours, and what is done without."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import errdefs
from engine.registry.repository import Repository
from tests.integration.registry.conftest import LAYER
from tests.ports import free_port
from tests.registries import Certificates, DebianRegistry

Make = Callable[..., DebianRegistry]
Open = Callable[..., Repository]


@pytest.fixture
def secured(make_registry: Make, certificates: Certificates) -> DebianRegistry:
    """A registry with TLS, with the image x:1."""
    registry = make_registry(certificates=certificates)
    registry.put_image("x", "1", [LAYER])
    return registry


def _certs_d(tmp_path: Path, name: str, *files: Path) -> Path:
    directory = tmp_path / "certs.d" / name
    directory.mkdir(parents=True)
    for file in files:
        shutil.copy(file, directory)
    return directory


async def test_loopback_needs_no_authority(secured: DebianRegistry, open_repository: Open) -> None:
    assert await open_repository(f"{secured.netloc}/x").manifest("1")


async def test_an_authority_that_is_given(
    secured: DebianRegistry, open_repository: Open, certificates: Certificates, tmp_path: Path
) -> None:
    _certs_d(tmp_path, secured.netloc, certificates.authority)
    assert await open_repository(f"{secured.netloc}/x").manifest("1")


async def test_an_authority_that_is_another(
    secured: DebianRegistry, open_repository: Open, certificates: Certificates, tmp_path: Path
) -> None:
    place = _certs_d(tmp_path, secured.netloc)
    shutil.copy(certificates.pair("client")[0], place / "wrong.crt")
    repository = open_repository(f"{secured.netloc}/x")
    with pytest.raises(errdefs.SystemFailure) as failed:
        await repository.manifest("1")
    assert failed.value.message == (
        f'Get "https://{secured.netloc}/v2/": tls: failed to verify certificate: x509: certificate signed by '
        "unknown authority"
    )
    (place / "wrong.crt").write_text("no certificate")
    with pytest.raises(errdefs.SystemFailure, match=r"unable to load CA cert .*/wrong\.crt"):
        await open_repository(f"{secured.netloc}/x").manifest("1")


async def test_a_certificate_of_ours(
    make_registry: Make, open_repository: Open, certificates: Certificates, tmp_path: Path
) -> None:
    registry = make_registry(certificates=certificates, client_authority=True)
    registry.put_image("x", "1", [LAYER])
    with pytest.raises(errdefs.SystemFailure):
        await open_repository(f"{registry.netloc}/x").manifest("1")
    _certs_d(tmp_path, registry.netloc, certificates.authority, *certificates.pair("client"))
    assert await open_repository(f"{registry.netloc}/x").manifest("1")


async def test_a_key_with_a_password_does_not_ask_for_it(
    secured: DebianRegistry, open_repository: Open, certificates: Certificates, tmp_path: Path
) -> None:
    place = _certs_d(tmp_path, secured.netloc, certificates.authority, *certificates.pair("client"))
    (place / "client.key").write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    with pytest.raises(errdefs.SystemFailure, match=r"failed to load X509 key pair .*/client\.cert"):
        await open_repository(f"{secured.netloc}/x").manifest("1")


async def test_hosts_toml_is_verified_unless_it_says_otherwise(
    secured: DebianRegistry, open_repository: Open, certificates: Certificates, tmp_path: Path
) -> None:
    place = _certs_d(tmp_path, "r.example", certificates.authority)
    file = place / "hosts.toml"
    server = f'server = "https://{secured.netloc}"\n'
    file.write_text(server)
    with pytest.raises(errdefs.SystemFailure, match="signed by unknown authority"):
        await open_repository("r.example/x").manifest("1")
    for more in ("skip_verify = true", 'ca = "ca.crt"'):
        file.write_text(server + more)
        assert await open_repository("r.example/x").manifest("1")


async def test_no_tls_where_it_must_be(plain: DebianRegistry, open_repository: Open, tmp_path: Path) -> None:
    _certs_d(tmp_path, "r.example").joinpath("hosts.toml").write_text(f'server = "https://{plain.netloc}"')
    with pytest.raises(errdefs.SystemFailure) as failed:
        await open_repository("r.example/a/b").manifest("1")
    assert failed.value.message == (
        f'Get "https://{plain.netloc}/v2/": http: server gave HTTP response to HTTPS client'
    )


async def test_what_answers_with_tls_is_not_asked_without(
    make_registry: Make, certificates: Certificates, open_repository: Open
) -> None:
    registry = make_registry(certificates=certificates)
    with pytest.raises(errdefs.NotFound, match="manifest unknown"):
        await open_repository(f"{registry.netloc}/none").manifest("1")


async def test_a_directory_that_is_wrong(open_repository: Open, tmp_path: Path) -> None:
    netloc = f"127.0.0.1:{free_port()}"
    _certs_d(tmp_path, netloc).joinpath("x.cert").write_text("")
    with pytest.raises(errdefs.InvalidArgument, match=r"missing key x\.key for client certificate x\.cert"):
        await open_repository(f"{netloc}/x").manifest("1")
