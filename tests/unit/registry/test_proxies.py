import pytest
from yarl import URL

from engine.registry.hosts import Settings
from engine.registry.proxies import proxy_for

RULES = "a.example, .b.example,*.c.example,d.example:5000,10.0.0.0/8,192.168.1.1,[fd00::1]:443,nonsense/99"


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("https://r.example/", "http://s:2"),
        ("http://r.example/", "http://h:1"),
        ("http://localhost:5000/", None),
        ("https://127.0.0.9/", None),
        ("https://[::1]:5/", None),
        ("https://a.example/", None),
        ("https://A.example./", None),
        ("https://x.a.example/", None),
        ("https://xa.example/", "http://s:2"),
        ("https://b.example/", "http://s:2"),
        ("https://x.b.example/", None),
        ("https://x.c.example/", None),
        ("https://d.example:5000/", None),
        ("https://d.example/", "http://s:2"),
        ("https://10.200.0.1/", None),
        ("https://11.200.0.1/", "http://s:2"),
        ("http://192.168.1.1:8080/", None),
        ("https://[fd00::1]/", None),
        ("https://[fd00::1]:444/", "http://s:2"),
    ],
)
def test_which_proxy(url: str, proxied: str | None) -> None:
    settings = Settings(http_proxy="h:1", https_proxy="http://s:2", no_proxy=RULES)
    found = proxy_for(URL(url), settings)
    assert found == (None if proxied is None else URL(proxied))


def test_no_proxy_for_all() -> None:
    assert proxy_for(URL("https://r.example"), Settings(https_proxy="http://p", no_proxy="*")) is None
    assert proxy_for(URL("https://r.example"), Settings(http_proxy="http://p")) is None


def test_a_password_is_not_shown() -> None:
    assert "word" not in repr(Settings(http_proxy="http://u:word@p", https_proxy="http://u:word@p"))
