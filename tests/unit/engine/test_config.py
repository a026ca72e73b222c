"""The daemon's settings, from flags and from daemon.json."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.config import Answered, RuntimePath, load, reload
from engine.config.file import parse
from engine.config.hosts import DEFAULT_HOST, DEFAULT_TLS_HOST, parse_host
from engine.config.settings import BY_FLAG, BY_KEY, SETTINGS, Standing
from engine.config.tls import TlsFiles
from engine.containers.config import Ulimit
from network.drivers.default_bridge import DefaultBridge
from tests.unit.engine.configuring import Written, load_flags, refusal


def test_defaults() -> None:
    config = load_flags()
    assert (str(config.data_root), str(config.exec_root)) == ("/var/lib/wherry", "/run/wherry")
    assert config.hosts == ("unix:///var/run/docker.sock",)
    assert (config.bridge, config.default_bridge, config.group) == ("wherry0", DefaultBridge(), "docker")
    assert (config.log_driver, config.log_opts, config.level) == ("json-file", {}, "info")
    assert (config.default_runtime, config.default_shm_size, config.init) == ("runc", 67108864, False)
    assert config.runtimes["runc"].path.endswith("/runc")
    assert config.shutdown_timeout == 15
    assert config.notices == ()


def test_flags_in_every_form() -> None:
    config = load_flags(
        *("-D", "-Hfd://", "-H", "unix:///a.sock", "--host=tcp://:1234", "-lwarn", "-p=/p.pid"),
        *("--data-root", "/d", "--exec-root=/e", "-G", "", "--bridge", "br0", "--bip=10.1.0.1/16"),
        *(
            "--label",
            "a=b",
            "--label=c=d=e",
            "--shutdown-timeout=0",
            "--init",
            "--stop-containers",
            "--purge-network",
        ),
        *("--default-shm-size=1.5g", "--dns", "8.8.8.8", "--dns-opt", "ndots:1", "--dns-search", "a.example"),
        *("--log-opt", "max-size=10m", "--log-opt=max-file=3", "--insecure-registry", "r:5000"),
        *("--default-ulimit", "nofile=10:20", "--default-ulimit=core=-1", "--seccomp-profile", "unconfined"),
        *(
            "--add-runtime",
            "Crun=/bin/true",
            "--default-runtime",
            "crun",
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
        ),
    )
    assert config.hosts == ("fd://", "unix:///a.sock", "tcp://localhost:1234")
    assert (config.level, config.log_level) == ("debug", "warn")
    assert [str(path) for path in (config.pidfile, config.data_root, config.exec_root)] == [
        "/p.pid",
        "/d",
        "/e",
    ]
    assert (config.group, config.bridge, config.default_bridge.bip) == ("", "br0", "10.1.0.1/16")
    assert config.labels == ("a=b", "c=d=e")
    assert (config.shutdown_timeout, config.init) == (0, True)
    assert (config.stop_containers, config.purge_network) == (True, True)
    assert config.default_shm_size == 3 << 29
    assert (config.dns, config.dns_opts, config.dns_search) == (("8.8.8.8",), ("ndots:1",), ("a.example",))
    assert config.log_opts == {"max-size": "10m", "max-file": "3"}
    assert config.insecure_registries == ("r:5000",)
    assert config.default_ulimits == {
        "nofile": Ulimit(name="nofile", soft=10, hard=20),
        "core": Ulimit(name="core", soft=-1, hard=-1),
    }
    assert config.seccomp_profile == "unconfined"
    assert config.runtimes["crun"] == RuntimePath("/bin/true")
    assert config.cgroup_driver == "cgroupfs"


def test_short_flags_in_one_word() -> None:
    assert load_flags("-Dlerror").log_level == "error"
    assert load_flags("-D=false").debug is False


def test_the_file_says_the_same(written: Written) -> None:
    config = load(
        written(
            {
                "hosts": ["fd://"],
                "debug": True,
                "data-root": "/d",
                "labels": ["a=b"],
                "log-driver": "json-file",
                "log-opts": {"max-size": "10m"},
                "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}},
                "default-shm-size": "128M",
                "runtimes": {"crun": {"path": "/bin/true", "runtimeArgs": ["--debug"]}},
                "shutdown-timeout": 0,
                "insecure-registries": ["r:5000"],
                "bip": "",
                "dns": None,
            }
        )
    )
    assert config.hosts == ("fd://",)
    assert config.debug
    assert config.default_ulimits["nofile"] == Ulimit(name="nofile", soft=64000, hard=64000)
    assert config.default_shm_size == 128 << 20
    assert config.runtimes["crun"] == RuntimePath("/bin/true", ("--debug",))
    assert config.shutdown_timeout == 0
    assert config.log_opts == {"max-size": "10m"}
    assert (config.default_bridge.bip, config.dns) == ("", ())


def test_what_is_said_in_both_places_is_an_error_with_dockerds_text(written: Written) -> None:
    argv = [
        *written({"log-level": "info", "hosts": ["fd://", "unix://"], "debug": False}),
        "-H",
        "tcp://:1",
        "-D",
    ]
    path = argv[1]
    assert refusal([*argv, "-l", "warn"]) == (
        f"unable to configure the Docker daemon with file {path}: the following directives are specified both as a"
        " flag and in the configuration file: debug: (from flag: true, from file: false),"
        " hosts: (from flag: [tcp://:1], from file: [fd:// unix://]), log-level: (from flag: warn, from file: info)"
    )


def test_a_conflict_does_not_show_the_password_of_a_proxy(written: Written) -> None:
    text = refusal([*written({"http-proxy": "http://u:secret@p"}), "--http-proxy", "http://u:hidden@p"])
    assert "xxxxx:xxxxx@p" in text
    assert "secret" not in text
    assert "hidden" not in text


def test_runtimes_of_both_places_are_united(written: Written) -> None:
    config = load([*written({"runtimes": {"a": {"path": "/bin/a"}}}), "--add-runtime", "b=/bin/b"])
    assert set(config.runtimes) == {"runc", "io.containerd.runc.v2", "a", "b"}


def test_groups_of_keys_are_opened(written: Written) -> None:
    assert load(written({"proxies": {"http-proxy": "http://p"}})).http_proxy == "http://p"


def test_where_devices_and_groups_of_containers_are(written: Written) -> None:
    config = load(written({}))
    assert (config.cdi_spec_dirs, config.cgroup_parent) == (("/etc/cdi", "/var/run/cdi"), "")
    config = load(
        written({"cdi-spec-dirs": ["/a", "/b"], "cgroup-parent": "x.slice", "cpu-rt-period": 0, "init": True})
    )
    assert (config.cdi_spec_dirs, config.cgroup_parent) == (("/a", "/b"), "x.slice")
    assert load(written({"cdi-spec-dirs": [""]})).cdi_spec_dirs == ()


@pytest.mark.parametrize("flag", ["--cpu-rt-runtime=-5", "--cpu-rt-period=-5"])
def test_realtime_that_cannot_be(flag: str) -> None:
    """Not below zero; and on a host without its groups not at all."""
    assert refusal(["--config-file", "", flag]).startswith(
        "daemon-scoped cpu-rt-period and cpu-rt-runtime are "
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{\n  "debug": true,\n  x}', "invalid JSON: line 3, column 3: "),
        ("{", "invalid JSON: line 1, column 2: "),
        ("[]", "invalid JSON: line 1: the file must hold an object"),
        ('{"debug": "yes"}', "debug: must be true or false"),
        ('{"hosts": "fd://"}', "hosts: must be a list of texts"),
        ('{"shutdown-timeout": 1.5}', "shutdown-timeout: must be a whole number"),
        ('{"log-opts": {"max-file": 3}}', 'log-opts: the value of "max-file" must be a text: "3"'),
        ('{"runtimes": {"x": {}}}', 'runtimes: "x" must have a "path"'),
        ('{"runtimes": {"runc": {"path": "/x"}}}', "runtimes: runtime name 'runc' is reserved"),
        (
            '{"nosuch": 1, "neither": 2}',
            "the following directives don't match any configuration option: nosuch, neither",
        ),
        (
            '{"label": ["a=b"]}',
            "the following directives don't match any configuration option: label (in the file",
        ),
        (
            '{"stop-containers": true}',
            "the following directives don't match any configuration option: stop-containers",
        ),
        (
            '{"fault-points": true}',
            "the following directives don't match any configuration option: fault-points",
        ),
        ('{"default-shm-size": "1x"}', "default-shm-size: invalid size: '1x'"),
        ('{"default-ulimits": {"x": {"Soft": 1}}}', "default-ulimits: invalid ulimit type: x"),
    ],
)
def test_a_bad_file_is_refused_and_says_where(written: Written, content: str, expected: str) -> None:
    argv = written(content)
    assert refusal(argv).startswith(f"unable to configure the Docker daemon with file {argv[1]}: {expected}")


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b'\xef\xbb\xbf{"debug": true}', '{"debug": true}'.encode("utf-16")]
)
def test_encodings_and_empty_files(content: bytes) -> None:
    assert parse(content) in ({}, {"debug": True})


def test_a_missing_file_matters_only_if_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "none.json")
    assert refusal(["--config-file", missing]).endswith(f"open {missing}: no such file or directory")
    monkeypatch.setattr("engine.config.loading.DEFAULT_CONFIG_FILE", missing)
    assert load([]).config_file == missing


def test_a_file_that_never_ends_is_refused() -> None:
    assert refusal(["--config-file", "/dev/zero"]).endswith("/dev/zero is not a regular file")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--nosuch"], "unknown flag: --nosuch"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-Dx"], "unknown shorthand flag: 'x' in -Dx"),
        (["--bip"], "flag needs an argument: --bip"),
        (["-H"], "flag needs an argument: 'H' in -H"),
        (["serve"], '"wherryd" accepts no arguments: serve'),
        (["--", "serve"], '"wherryd" accepts no arguments: serve'),
        (["--debug=maybe"], 'invalid argument "maybe" for "-D, --debug" flag: '),
        (["--shutdown-timeout=x"], 'invalid argument "x" for "--shutdown-timeout" flag: '),
        (["-l", "loud"], "invalid logging level: loud"),
        (["--label", "x"], "bad attribute format: x"),
        (["--label", "a=1", "--label", "a=2"], "conflict labels for a=2 and a=1"),
        (["--label", "com.docker.x=1"], "label com.docker.x=1 is not allowed: "),
        (["--default-runtime", "x"], "specified default runtime 'x' does not exist"),
        (["--add-runtime", "runc=/x"], 'invalid argument "runc=/x" for "--add-runtime" flag: runtime name'),
        (["--exec-opt", "x"], "invalid exec-opt (x): must be formatted 'opt=value'"),
        (["--exec-opt", "a=b"], "invalid exec-opt (a=b): unknown option: 'a'"),
        (["--exec-opt", "native.cgroupdriver=x"], "invalid exec-opt (native.cgroupdriver=x): use"),
        (["--default-ipc-mode", "host"], 'IPC mode "host" is not supported as default value; '),
        (["--default-cgroupns-mode", "x"], 'invalid default cgroup namespace (x): use "host" or "private"'),
        (["--log-driver", "nosuch"], 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
        (["--log-opt", "x=y"], "unknown log opt 'x' for json-file log driver"),
        (["--bip", "10.0.0.0/8"], "bip: 10.0.0.0/8 must be the address of a host"),
        (["--bip", "x"], "bip: "),
        (["--dns", "x"], "dns: IP address is not correctly formatted: x"),
        (["--dns-search", "a..b"], "a..b is not a valid domain"),
        (["-H", "http://x"], "invalid bind address (http://x): unsupported proto 'http'"),
        (
            ["--default-ulimit", "nofile=2:1"],
            'invalid argument "nofile=2:1" for "--default-ulimit" flag: ulimit soft',
        ),
        (["--iptables=false"], "iptables is not supported by this version of wherry"),
        (["--selinux-enabled"], "selinux-enabled is not supported by this version of wherry"),
        (["--default-stop-timeout=0"], "default-stop-timeout is not supported"),
    ],
)
def test_bad_flags_are_refused_and_named(argv: list[str], expected: str) -> None:
    assert refusal(["--config-file", "", *argv]).startswith(expected)


def test_settings_without_effect_are_accepted_with_one_line_each(written: Written) -> None:
    argv = [*written({"storage-driver": "overlay2", "features": {"buildkit": True}, "iptables": True})]
    assert load([*argv, "--live-restore"]).notices == (
        "live-restore is accepted and has no effect: containers always survive the daemon",
        "storage-driver is accepted and has no effect: there is one, chosen by the filesystem",
        "features is accepted and has no effect: there is nothing to choose",
    )


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--help", "Usage: wherryd [OPTIONS]"),
        ("-v", "wherryd version 29."),
        ("--validate", "configuration OK\n"),
    ],
)
def test_questions_are_answered(flag: str, expected: str) -> None:
    with pytest.raises(Answered) as answered:
        load_flags(flag)
    assert answered.value.text.startswith(expected)
    assert "fault-points" not in answered.value.text


@pytest.mark.parametrize(
    ("argv", "environment", "expected"),
    [
        ([], {}, None),
        (["--tls=false"], {"DOCKER_CERT_PATH": "/c"}, None),
        (
            ["--tls"],
            {"HOME": "/h"},
            TlsFiles("/h/.docker/cert.pem", "/h/.docker/key.pem", "/h/.docker/ca.pem", False),
        ),
        (
            ["--tlsverify=false", "--tlskey", "/k"],
            {"DOCKER_CERT_PATH": "/c"},
            TlsFiles("/c/cert.pem", "/k", "/c/ca.pem", False),
        ),
        (
            [],
            {"DOCKER_TLS_VERIFY": "1", "HOME": "/h", "DOCKER_CERT_PATH": "/c"},
            TlsFiles("/c/cert.pem", "/c/key.pem", "/c/ca.pem", True),
        ),
    ],
)
def test_tls(
    argv: list[str], environment: dict[str, str], expected: TlsFiles | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = load_flags(*argv)
    assert config.tls == expected
    assert config.hosts == (DEFAULT_TLS_HOST if expected else DEFAULT_HOST,)


def test_validate_checks_first(written: Written) -> None:
    assert "debug: must be true or false" in refusal([*written({"debug": 1}), "--validate"])


def test_no_name_means_two_things() -> None:
    assert len(SETTINGS) == len({(setting.flag, setting.key) for setting in SETTINGS})
    assert len(BY_FLAG) == sum(bool(setting.flag) for setting in SETTINGS)
    assert len(BY_KEY) == sum(bool(setting.key) for setting in SETTINGS)
    assert all(setting.note for setting in SETTINGS if setting.standing is Standing.NEEDLESS)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("unix://", "unix:///var/run/docker.sock"),
        ("unix:///x y", "unix:///x y"),
        ("fd://", "fd://"),
        ("fd://name", "fd://name"),
        ("tcp://", "tcp://localhost:2375"),
        (":80", "tcp://localhost:80"),
        ("0.0.0.0", "tcp://0.0.0.0:2375"),
        ("tcp://[::1]:5", "tcp://[::1]:5"),
    ],
)
def test_hosts(address: str, expected: str) -> None:
    assert parse_host(address) == expected


@pytest.mark.parametrize(
    "address", ["npipe://", "tcp://x:99999", "tcp://x:0", "tcp://x/y", "tcp://x:", "unix://tcp://x"]
)
def test_hosts_that_are_none(address: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"^invalid bind address \("):
        parse_host(address)


def test_reload_takes_over_what_it_can(written: Written) -> None:
    argv = written({"debug": False, "labels": ["a=b"], "hosts": ["fd://"]})
    current = load(argv)
    settings = {"debug": True, "labels": ["a=c"], "hosts": ["unix://"], "insecure-registries": ["x:1"]}
    written({**settings, "registry-mirrors": ["https://m"], "max-concurrent-downloads": 9})
    reloaded = reload(current, argv)
    assert (reloaded.config.debug, reloaded.config.labels) == (True, ("a=c",))
    assert reloaded.config.hosts == ("fd://",)
    assert set(reloaded.changed) == {
        *("debug", "labels", "insecure_registries", "registry_mirrors", "max_concurrent_downloads")
    }
    assert reloaded.attributes["registry-mirrors"] == '["https://m/"]'
    assert reloaded.attributes["max-concurrent-downloads"] == "9"
    assert reloaded.pending == ("hosts",)
    assert reloaded.attributes["labels"] == '["a=c"]'
    written("{")
    with pytest.raises(errdefs.InvalidArgument, match="invalid JSON"):
        reload(current, argv)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(BY_KEY)), _json, max_size=4))
def test_any_file_is_a_configuration_or_refused(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(document))
    try:
        load(["--config-file", str(path)])
    except errdefs.InvalidArgument:
        pass


@given(
    st.lists(
        st.sampled_from(["-D", "-H", "--bip", "--log-opt", "--default-ulimit", "--label"])
        | st.text(max_size=8)
    )
)
def test_any_command_line_is_a_configuration_or_refused(argv: list[str]) -> None:
    try:
        load(["--config-file", "", *argv])
    except (errdefs.InvalidArgument, Answered):
        pass


def test_published_ports_obey_the_firewall_when_the_file_says_so(tmp_path: Path) -> None:
    told = tmp_path / "daemon.json"
    told.write_text('{"published-ports": "host-firewall"}')
    assert load(["--config-file", str(told)]).published_ports == "host-firewall"
    told.write_text('{"published-ports": "somehow"}')
    with pytest.raises(errdefs.InvalidArgument, match="invalid published-ports \\(somehow\\)"):
        load(["--config-file", str(told)])
