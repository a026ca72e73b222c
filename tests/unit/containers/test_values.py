"""The pure parts of containers: ports, log options, security options, signals, failures, ps, listing."""

import signal

import pytest

import errdefs
from engine.containers import failure, log_options, ports, security, top
from engine.containers import list as listing
from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig, LogConfig, PortBinding
from engine.containers.container import Container, State
from engine.containers.signals import parse_signal
from engine.containers.state import Status
from engine.filters import Filters
from engine.logs.drivers import values
from network.endpoint import Endpoint
from network.ports import PortBinding as Given


def container(number: int, **fields: object) -> Container:
    values: dict[str, object] = {
        "id": f"{number:064x}", "name": f"c{number}", "created": number, "path": "sh", "args": [],
        "config": ContainerConfig(),
        "host_config": HostConfig(), "networks": {"bridge": EndpointConfig()}, "image_id": "sha256:a",
        "image_name": "busybox", "snapshot": "s",
    }  # fmt: skip
    return Container(**(values | fields))  # type: ignore[arg-type]


def test_published_ports() -> None:
    host = HostConfig(
        port_bindings={
            "80/tcp": [PortBinding(host_port="8080"), PortBinding(host_ip="127.0.0.1")],
            "53/udp": None,
        },
        publish_all_ports=True,
    )
    config = ContainerConfig(exposed_ports={"80/tcp": {}, "9000-9001": {}})
    found = [
        (each.proto, each.container_port, each.host_ip, each.host_port_start, each.host_port_end)
        for each in ports.wanted(config, host)
    ]
    assert found == [
        ("tcp", 80, "", 8080, 8080),
        ("tcp", 80, "127.0.0.1", 0, 0),
        ("udp", 53, "", 0, 0),
        ("tcp", 9000, "", 0, 0),
        ("tcp", 9001, "", 0, 0),
    ]


@pytest.mark.parametrize("spec", ["", "x", "0", "80/ftp", "65536", "90-80", "80/tcp/udp", "-1", "٣"])
def test_bad_ports_are_refused(spec: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        ports.parse_port(spec)


@pytest.mark.parametrize("spec", ["x", "65536", "90-80", "-", "1-"])
def test_bad_host_ports_are_refused(spec: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        ports.host_range(spec)


@pytest.mark.parametrize(
    ("text", "size"), [("10m", 10_000_000), ("1.5k", 1500), ("7", 7), ("2GB", 2 * 10**9)]
)
def test_log_sizes_are_decimal(text: str, size: int) -> None:
    assert values.size(text) == size


_COMPRESS = "compress cannot be true when max-file is less than 2 or max-size is not set"
_PATH = "invalid fluentd-address (tcp://a:1/b): should not contain a path element"
_SPLUNK = (
    "the splunk logging driver is not part of wherry: "
    "send logs to a collector that knows that service, by fluentd, gelf or syslog"
)


@pytest.mark.parametrize(
    ("driver", "options", "text"),
    [
        ("json-file", {"max-size": "x"}, "invalid size: 'x'"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"frob": "1"}, "unknown log opt 'frob' for json-file log driver"),
        ("json-file", {"compress": "1", "max-size": "1m"}, _COMPRESS),
        ("local", {"tag": "x"}, "unknown log opt 'tag' for log driver local"),
        ("syslog", {"syslog-facility": "24"}, "invalid syslog facility"),
        ("syslog", {"cache-max-size": "x"}, "invalid value for max-size: x: invalid size: 'x'"),
        ("fluentd", {"fluentd-address": "tcp://a:1/b"}, _PATH),
        ("gelf", {"bad": "x"}, "gelf-address is a required parameter"),
        ("gelf", {"gelf-address": "udp://a:1", "bad": "x"}, 'unknown log opt "bad" for gelf log driver'),
        ("nosuch", {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
        ("splunk", {}, _SPLUNK),
    ],
)
def test_bad_log_options_are_refused(driver: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refusal:
        log_options.LogOptions.parse(LogConfig(type=driver, config=options))
    assert refusal.value.message == text


def test_security_options() -> None:
    asked = security.parse(["no-new-privileges", "seccomp=unconfined", "apparmor:x", "label=disable"])
    assert (asked.no_new_privileges, asked.seccomp, asked.apparmor, asked.labels) == (
        True, "unconfined", "x", ("disable",),
    )  # fmt: skip
    assert not security.parse(["no-new-privileges=false"]).no_new_privileges


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("frob", 'invalid --security-opt 1: "frob"'),
        ("frob=1", 'invalid --security-opt 2: "frob=1"'),
        ("no-new-privileges=maybe", 'invalid --security-opt 2: "no-new-privileges=maybe"'),
    ],
)
def test_bad_security_options_are_refused(option: str, text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refusal:
        security.parse([option])
    assert refusal.value.message == text


@pytest.mark.parametrize(
    ("text", "number"),
    [("KILL", 9), ("sigterm", 15), ("SIGRTMIN+3", signal.SIGRTMIN + 3), ("9", 9), ("RTMAX", signal.SIGRTMAX)],
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "FROB", "-1", "1.5"])
def test_bad_signals_are_refused(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"invalid signal|does not support signal"):
        parse_signal(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('exec: "x": executable file not found in $PATH: unknown', 127),
        ('exec: "/x": stat /x: no such file or directory: unknown', 127),
        ('exec: "/etc": is a directory: permission denied', 126),
        ("something else", 128),
    ],
)
def test_exit_codes_of_failed_starts(text: str, code: int) -> None:
    assert failure.exit_code(text) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('exec: "x": executable file not found in $PATH: unknown', 127),
        ('chdir to cwd ("/x") set in config.json failed: no such file or directory: unknown', 126),
        ("unable to find user x: no matching entries in passwd file", 126),
    ],
)
def test_exit_codes_of_failed_execs(text: str, code: int) -> None:
    assert failure.exec_exit_code(text) == code


def test_ps_is_cut_down_to_the_containers_processes() -> None:
    table = "UID   PID  PPID CMD\nroot    1     0 init [2]\nroot   42     1 sleep  10 s\n"
    found = top.parse(table, frozenset((42,)))
    assert found.titles == ["UID", "PID", "PPID", "CMD"]
    assert found.processes == [["root", "42", "1", "sleep  10 s"]]


def test_ps_shows_threads_below_their_process() -> None:
    table = "PID LWP CMD\n41 - init\n- 41 -\n42 - sleep\n- 42 -\n- 43 -\n"
    found = top.parse(table, frozenset((42,)))
    assert found.processes == [["42", "-", "sleep"], ["-", "42", "-"], ["-", "43", "-"]]


@pytest.mark.parametrize("arguments", ["-o pid=X", "-o user,pid=", "-e 'unclosed"])
def test_ps_arguments_that_hide_the_pid_are_refused(arguments: str) -> None:
    if arguments == "-o user,pid=":
        assert top.split_arguments(arguments) == ["-o", "user,pid="]
        return
    with pytest.raises(errdefs.InvalidArgument):
        top.split_arguments(arguments)


def names(
    query: listing.ListQuery, *, before: int = 0, since: int = 0, ancestors: tuple[str, ...] = ()
) -> list[str]:
    known = {
        1: container(1, state=State(status=Status.EXITED, exit_code=3), name="web"),
        2: container(2, state=State(status=Status.RUNNING), config=ContainerConfig(labels={"a": "b"})),
        3: container(
            3,
            host_config=HostConfig(port_bindings={"80/tcp": None}),
            ports=[Given(proto="tcp", container_port=80, host_ip="0.0.0.0", host_port=8080)],
            image_id="sha256:b",
        ),
        4: container(
            4,
            state=State(status=Status.PAUSED),
            config=ContainerConfig(exposed_ports={"53/udp": {}}),
            endpoints={
                "bridge": Endpoint(
                    id="e", name="c4", container_id="4", sandbox_id="s", network_id="n", network="bridge"
                )
            },
        ),
    }
    newest_first = [known[key] for key in sorted(known, reverse=True)]
    chosen = listing.select(newest_first, query, known.get(before), known.get(since), frozenset(ancestors))
    return [each.name for each in chosen]


def test_listing() -> None:
    everything = listing.ListQuery(all=True)
    assert names(listing.ListQuery()) == ["c4", "c2"]
    assert names(everything) == ["c4", "c3", "c2", "web"]
    assert names(listing.ListQuery(limit=3)) == ["c4", "c3", "c2"]
    assert names(everything, before=3) == ["c2", "web"]
    assert names(everything, since=2) == ["c4", "c3"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters.of(name=["we"]), ["web"]),
        (Filters.of(name=["^/web$"]), ["web"]),
        (Filters.of(status=["exited", "created"]), ["c3", "web"]),
        (Filters.of(exited=["3"]), ["web"]),
        (Filters.of(exited=["0"]), []),
        (Filters.of(label=["a=b"]), ["c2"]),
        (Filters.of(publish=["80"]), []),
        (Filters.of(publish=["8080"]), ["c3"]),
        (Filters.of(publish=["8079-8090/tcp"]), ["c3"]),
        (Filters.of(publish=["8080"], expose=["53/udp"]), ["c4", "c3"]),
        (Filters.of(expose=["53/udp"]), ["c4"]),
        (Filters.of(network=["bridge"], status=["running"]), ["c2"]),
        (Filters.of(network=["none"]), []),
    ],
)
def test_filters(filters: Filters, found: list[str]) -> None:
    assert names(listing.ListQuery(all=True, filters=filters)) == found


@pytest.mark.parametrize(
    "filters",
    [Filters.of(status=["x"]), Filters.of(exited=["x"]), Filters.of(health=["x"]), Filters.of(publish=["x"])],
)
def test_bad_filters_are_refused(filters: Filters) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"filter|looking up"):
        names(listing.ListQuery(all=True, filters=filters))


def test_an_ancestor_is_an_image() -> None:
    query = listing.ListQuery(all=True, filters=Filters.of(ancestor=["b"]))
    assert names(query, ancestors=("sha256:b",)) == ["c3"]
