from pathlib import Path

import pytest

from engine.registry.hosts import (
    ALL,
    Capability,
    Directory,
    Host,
    Listed,
    Settings,
    Tls,
    is_netloc,
    resolve,
)

CA = Tls(authorities=(Path("/ca.crt"),))
UNVERIFIED = Tls(verify=False)
READING = Capability.PULL | Capability.RESOLVE


def _urls(
    domain: str, settings: Settings | None = None, **directories: Directory
) -> list[tuple[str, bool, bool]]:
    by_name = {name.replace("_", "."): directory for name, directory in directories.items()}
    found = resolve(domain, settings or Settings(), lambda name: by_name.get(name, Directory()))
    return [(host.url, host.tls.verify, host.own) for host in found]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("docker.io", [("https://registry-1.docker.io/v2", True, True)]),
        ("r.example:5000", [("https://r.example:5000/v2", True, True)]),
        ("localhost", [("https://localhost/v2", False, True), ("http://localhost/v2", False, True)]),
        ("127.1.2.3:5", [("https://127.1.2.3:5/v2", False, True), ("http://127.1.2.3:5/v2", False, True)]),
        ("[::1]:5", [("https://[::1]:5/v2", False, True), ("http://[::1]:5/v2", False, True)]),
        ("localhost.example", [("https://localhost.example/v2", True, True)]),
        ("10.1.1.1", [("https://10.1.1.1/v2", True, True)]),
    ],
)
def test_without_settings(domain: str, expected: list[tuple[str, bool, bool]]) -> None:
    assert _urls(domain) == expected


@pytest.mark.parametrize(
    ("insecure", "domain", "is_insecure"),
    [
        ("r.example:5000", "r.example:5000", True),
        ("r.example:5000", "r.example", False),
        ("r.example", "r.example:5000", False),
        ("http://r.example", "r.example", True),
        ("HTTPS://r.example", "r.example", True),
        ("10.0.0.0/8", "10.9.9.9:5000", True),
        ("10.0.0.0/8", "11.9.9.9:5000", False),
        ("fd00::/8", "[fd00::1]:5000", True),
        ("10.0.0.0/8", "name.example", False),  # whatever it may resolve to
    ],
)
def test_insecure_registries(insecure: str, domain: str, is_insecure: bool) -> None:
    found = _urls(domain, Settings(insecure=(insecure,)))
    expected = [(f"https://{domain}/v2", not is_insecure, True)]
    assert found == expected + ([(f"http://{domain}/v2", False, True)] if is_insecure else [])


def test_docker_hub_is_never_without_tls() -> None:
    assert _urls("docker.io", Settings(insecure=("docker.io", "registry-1.docker.io"))) == _urls("docker.io")


def test_mirrors_of_docker_hub_come_first_and_see_no_credentials() -> None:
    settings = Settings(mirrors=("https://m.example/hub/", "http://127.0.0.1:5/"), insecure=("m.example",))
    found = resolve("docker.io", settings, lambda _: Directory())
    assert found[:2] == (
        Host("https://m.example/hub/v2", UNVERIFIED, READING),
        Host("http://127.0.0.1:5/v2", UNVERIFIED, READING),
    )
    assert [host.own for host in found] == [False, False, True]
    assert len(resolve("r.example", settings, lambda _: Directory())) == 1


def test_certificates_of_a_mirror() -> None:
    settings = Settings(mirrors=("https://m.example/",))
    found = resolve(
        "docker.io", settings, lambda name: Directory(tls=CA) if name == "m.example" else Directory()
    )
    assert [host.tls for host in found] == [CA, Tls()]


def test_an_authority_of_a_local_registry_is_used() -> None:
    assert resolve("127.0.0.1:5", Settings(), lambda _: Directory(tls=CA)) == (
        Host("https://127.0.0.1:5/v2", CA, own=True),
    )


def test_hosts_that_are_listed() -> None:
    listed = (
        Listed(
            "https://mirror.example/v2", capabilities=READING, headers={"X": "hidden"}, connect_timeout=2.0
        ),
        Listed("http://r.example/v2", verify=False),
        Listed(""),
    )
    found = resolve("r.example", Settings(), lambda _: Directory(hosts=listed))
    assert found == (
        Host(
            "https://mirror.example/v2",
            Tls(),
            READING,
            headers={"X": "hidden"},
            connect_timeout=2.0,
            namespace="r.example",
        ),
        Host("http://r.example/v2", UNVERIFIED, ALL, own=True),
        Host("https://r.example/v2", Tls(), ALL, own=True),
    )
    assert "hidden" not in f"{found[0]} {listed[0]}"


def test_mirrors_stay_where_a_file_lists_none() -> None:
    settings = Settings(mirrors=("https://m.example/",))
    alone = Directory(hosts=(Listed("", authorities=CA.authorities),))
    assert _urls("docker.io", settings, docker_io=alone)[0][0] == "https://m.example/v2"
    several = Directory(hosts=(Listed("https://n.example/v2"), Listed("")))
    assert [url for url, _, _ in _urls("docker.io", settings, docker_io=several)] == [
        "https://n.example/v2",
        "https://registry-1.docker.io/v2",
    ]


def test_certificates_of_ours_are_for_one_origin() -> None:
    tls = Tls((Path("/ca"),), ((Path("/c"), Path("/k")),), verify=False)
    assert tls.without_clients() == Tls((Path("/ca"),), (), verify=False)


@pytest.mark.parametrize("text", ["a", "a.b:1", "[::1]", "[fe80::1]:5", "A-1.b", "127.0.0.1"])
def test_hosts(text: str) -> None:
    assert is_netloc(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a/b", "a..b", "-a", "a-", "a:b", "a@b", "a b", "a:123456", "a\n"]
)
def test_what_is_no_host(text: str) -> None:
    assert not is_netloc(text)
