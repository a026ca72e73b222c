"""The settings of registries and of the ways to them."""

import pytest

from engine.config import load
from tests.unit.engine.configuring import Written, load_flags, refusal


def test_registries(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://of.environment:1")
    monkeypatch.setenv("no_proxy", "a.example")
    config = load(
        [
            *written(
                {"max-concurrent-downloads": 0, "registry-mirrors": ["https://a", "https://a/", "http://b/c"]}
            ),
            *("--https-proxy", "http://user:word@p:3128", "--max-download-attempts=7"),
        ]
    )
    assert config.registry_mirrors == ("https://a/", "http://b/c/")
    assert (config.max_concurrent_downloads, config.max_concurrent_uploads) == (3, 5)
    assert config.max_download_attempts == 7
    assert (config.http_proxy, config.no_proxy) == ("http://of.environment:1", "a.example")
    assert config.https_proxy == "http://user:word@p:3128"
    assert "word" not in repr(config)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--registry-mirror=ftp://m", 'invalid mirror: unsupported scheme "ftp" in "ftp://m"'),
        ("--registry-mirror=m.example", 'invalid mirror: unsupported scheme "" in "m.example"'),
        ("--registry-mirror=http://m:x", 'invalid mirror: "http://m:x" is not a valid URI'),
        ("--registry-mirror=http://m?x", 'invalid mirror: query or fragment at end of the URI "http://m?x"'),
        (
            "--registry-mirror=https://u:p@m",
            'invalid mirror: username/password not allowed in URI "https://u:xxxxx@m"',
        ),
        ("--insecure-registry=ftp://r", "insecure registry ftp://r should not contain '://'"),
        ("--insecure-registry=-r", "invalid index name (-r). Cannot begin or end with a hyphen"),
        ("--insecure-registry=r/x", 'insecure registry r/x is not valid: invalid host "r/x"'),
        ("--insecure-registry=r:70000", 'insecure registry r:70000 is not valid: invalid port "70000"'),
        ("--max-concurrent-downloads=-1", "invalid max concurrent downloads: -1"),
        ("--max-download-attempts=-3", "invalid max download attempts: -3"),
        (
            "--http-proxy=socks5://u:word@p",
            "http-proxy: a proxy is spoken to by http or https, not by socks5",
        ),
        ("--https-proxy=http://u:word@p:x", "https-proxy: invalid proxy address http://xxxxx:xxxxx@p:x"),
    ],
)
def test_registries_that_cannot_be(flag: str, expected: str) -> None:
    assert refusal(["--config-file", "", flag]) == expected


@pytest.mark.parametrize(
    "name", ["r", "r:5000", "10.0.0.0/8", "::1/128", "http://r:5000", "[::1]:5000", "::1"]
)
def test_insecure_registries(name: str) -> None:
    assert load_flags(f"--insecure-registry={name}").insecure_registries == (name,)
