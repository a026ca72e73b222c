from pathlib import Path

import pytest

import errdefs
from engine.registry.directory import parse, read
from engine.registry.hosts import ALL, Capability, Directory, Listed, Tls

BASE = Path("/certs.d/r.example")


def _place(root: Path, name: str, **files: str) -> Path:
    directory = root / name
    directory.mkdir(parents=True)
    for file, content in files.items():
        (directory / file.replace("__", ".")).write_text(content)
    return directory


def test_nothing(tmp_path: Path) -> None:
    assert read([tmp_path, tmp_path / "none"], "r.example") == Directory()


def test_certificates(tmp_path: Path) -> None:
    place = _place(tmp_path, "r.example:5000", b__crt="", a__crt="", c__cert="", c__key="", readme="")
    assert read([tmp_path / "none", tmp_path], "r.example:5000").tls == Tls(
        authorities=(place / "a.crt", place / "b.crt"), clients=((place / "c.cert", place / "c.key"),)
    )
    assert read([tmp_path], "r.example") == Directory()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "x__cert",
            "missing key x.key for client certificate x.cert. CA certificates must use the extension .crt",
        ),
        ("x__key", "missing client certificate x.cert for key x.key"),
    ],
)
def test_half_a_pair(tmp_path: Path, file: str, expected: str) -> None:
    _place(tmp_path, "r", **{file: ""})
    with pytest.raises(errdefs.InvalidArgument) as refused:
        read([tmp_path], "r")
    assert refused.value.message == expected


def test_a_host_whose_name_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="file name too long"):
        read([tmp_path], "a" * 300)


@pytest.mark.parametrize("name", ["r.example_5000_", "r.example:5000", "_default"])
def test_names_of_directories(tmp_path: Path, name: str) -> None:
    _place(tmp_path, name, a__crt="")
    assert read([tmp_path], "r.example:5000").tls.authorities == (tmp_path / name / "a.crt",)


def test_a_hosts_file_goes_before_certificates(tmp_path: Path) -> None:
    _place(tmp_path, "r", hosts__toml='server = "https://x.example"', a__crt="")
    assert read([tmp_path], "r") == Directory(hosts=(Listed("https://x.example/v2"),))


def test_a_hosts_file() -> None:
    text = """
        server = "https://r.example"
        ca = "root.pem"

        [host."https://first.example:8443/cache"]
          capabilities = ["pull", "Resolve", "referrers"]
          ca = ["/etc/a.pem", "b.pem"]
          client = [["c.cert", "c.key"], "both.pem"]
          dial_timeout = "1m2.5s"
          [host."https://first.example:8443/cache".header]
            Authorization = "Basic eDp5"
            x-more = ["a", "b"]

        [host."http://second.example"]
          skip_verify = true

        [host."third.example/exact"]
          override_path = true
          client = "one.pem"
    """
    first, second, third, itself = parse(text, BASE)
    assert first == Listed(
        "https://first.example:8443/cache/v2",
        authorities=(Path("/etc/a.pem"), BASE / "b.pem"),
        clients=((BASE / "c.cert", BASE / "c.key"), (BASE / "both.pem", BASE / "both.pem")),
        capabilities=Capability.PULL | Capability.RESOLVE,
        headers={"Authorization": "Basic eDp5", "x-more": "a, b"},
        connect_timeout=62.5,
    )
    assert second == Listed("http://second.example/v2", verify=False)
    assert third == Listed("https://third.example/exact", clients=((BASE / "one.pem", BASE / "one.pem"),))
    assert itself == Listed("https://r.example/v2", authorities=(BASE / "root.pem",), capabilities=ALL)
    assert "eDp5" not in repr(first)


def test_a_hosts_file_without_a_server_means_the_registry_itself() -> None:
    assert parse('[host."https://m"]', BASE) == (Listed("https://m/v2"), Listed(""))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server = 5", '"server" must be a text'),
        ("server =", "Invalid value"),
        ('host = "x"', '"host" must be tables'),
        ('capabilities = ["fly"]', "unknown capability fly"),
        ("capabilities = 5", '"capabilities" must be a text or a list of texts'),
        ("ca = 5", '"ca" must be a text'),
        ("ca = [5]", '"ca" must be a text'),
        ('client = [["a"]]', 'invalid pair for "client"'),
        ("client = 5", 'invalid pair for "client"'),
        ('skip_verify = "yes"', "skip_verify must be true or false"),
        ('dial_timeout = "soon"', 'time: invalid duration "soon"'),
        ('server = "ftp://x"', "unable to parse server"),
        ('server = "https://user:word@x"', "unable to parse server"),
        ('server = "https://x/?q"', "unable to parse server"),
        ("header = 5", '"header" must be a table'),
        ('[header]\n"a b" = "c"', "a header has characters that no header may have"),
        ('[header]\na = "b\\r\\nc: d"', "a header has characters that no header may have"),
        ("[header]\na = 5", '"header" must be a text'),
    ],
)
def test_a_hosts_file_that_is_wrong_is_not_passed_by(text: str, expected: str) -> None:
    with pytest.raises(errdefs.SystemFailure) as failed:
        parse(text, BASE)
    assert failed.value.message.startswith(f"failed to decode {BASE}/hosts.toml: {expected}")
    assert "word" not in failed.value.message
