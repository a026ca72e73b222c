"""Logs that are sent: what arrives, and that neither the container nor `docker logs` notices who receives."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.daemon import Wherryd
from tests.receivers import Receiver
from tests.waiting import eventually

pytestmark = pytest.mark.root

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
LOCALHOST = ("127.0.0.1", 0)


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(address: Any, kind: socket.SocketKind) -> Receiver:
        made.append(Receiver(address, kind).start())
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def box(wherryd: Wherryd) -> Iterator[str]:
    yield "logged"
    wherryd.docker("rm", "-f", "logged", check=False)


def run(wherryd: Wherryd, driver: str, script: str, *flags: str, **options: str) -> None:
    opts = [f"--log-opt={name.replace('_', '-')}={value}" for name, value in options.items()]
    wherryd.docker(
        "run",
        "--name",
        "logged",
        "--net=none",
        f"--log-driver={driver}",
        *opts,
        *flags,
        "busybox",
        "sh",
        "-c",
        script,
    )


def text(got: list[bytes]) -> str:
    return b"".join(got).decode()


def test_what_was_sent_can_be_read_as_well(
    wherryd: Wherryd, receiver: Callable[..., Receiver], box: str
) -> None:
    remote = receiver(LOCALHOST, STREAM)
    run(wherryd, "syslog", "echo one; echo two >&2", syslog_address=f"tcp://127.0.0.1:{remote.port}", tag="t")
    remote.until(lambda got: "one" in text(got) and "two" in text(got))
    done = wherryd.docker("logs", box)
    assert (done.stdout, done.stderr) == ("one\n", "two\n")
    seen = wherryd.get(f"/containers/{box}/json").json
    assert (seen["LogPath"], seen["HostConfig"]["LogConfig"]["Type"]) == ("", "syslog")


def test_a_log_without_a_copy_cannot_be_read(
    wherryd: Wherryd, receiver: Callable[..., Receiver], box: str
) -> None:
    remote = receiver(LOCALHOST, DATAGRAM)
    options = {"gelf_address": f"udp://127.0.0.1:{remote.port}", "gelf_compression_type": "none"}
    run(wherryd, "gelf", "echo one", cache_disabled="true", **options)
    assert json.loads(remote.until(len)[0])["short_message"] == "one"
    refused = wherryd.docker("logs", box, check=False)
    assert "configured logging driver does not support reading" in refused.stderr


def test_a_container_that_is_removed_at_once_has_sent_its_log(
    wherryd: Wherryd, receiver: Callable[..., Receiver]
) -> None:
    remote = receiver(LOCALHOST, STREAM)
    run(wherryd, "fluentd", "seq 1 2000", "--rm", fluentd_address=f"127.0.0.1:{remote.port}")
    # It is sent by now, and will be read here: the last record, and the empty map that ends its message.
    remote.until(lambda got: b"\xa42000" in (data := b"".join(got)) and data.endswith(b"\x80"))
    assert [event["log"] for event in events(remote)] == [str(number) for number in range(1, 2001)]


def events(remote: Receiver) -> list[dict[str, str]]:
    """The records of fluentd's messages."""
    found, data = [], b"".join(remote.got)
    decoder = msgspec.msgpack.Decoder(tuple[str, Any, dict[str, str], dict[str, str]])
    while data:
        size = _length(data)
        found.append(decoder.decode(data[:size])[2])
        data = data[size:]
    return found


def _length(data: bytes) -> int:
    """Of the first message: each begins with an array of four, and ends with an empty map or one of a chunk."""
    position = data.find(b"\x80\x94")
    return position + 1 if position >= 0 else len(data)


def test_acknowledged_events(wherryd: Wherryd, receiver: Callable[..., Receiver], box: str) -> None:
    remote = receiver(LOCALHOST, STREAM)

    def answer(data: bytes) -> bytes:
        chunks = [part[:25] for part in data.split(b"\xa5chunk")[1:]]
        return b"".join(b"\x81\xa3ack" + chunk for chunk in chunks)

    remote.answer = answer
    run(
        wherryd,
        "fluentd",
        "echo one; echo two",
        fluentd_address=f"127.0.0.1:{remote.port}",
        fluentd_request_ack="true",
    )
    data = b"".join(remote.until(lambda got: b"two" in b"".join(got)))
    assert data.count(b"one") == data.count(b"two") == 1


@pytest.mark.parametrize("mode", ["blocking", "non-blocking"])
def test_nobody_there_stops_nobody(wherryd: Wherryd, box: str, mode: str) -> None:
    """Neither the start, nor the writing, nor the end, nor the removal."""
    began = time.monotonic()
    run(wherryd, "fluentd", "seq 1 200000", fluentd_address="tcp://127.0.0.1:1", mode=mode)
    assert wherryd.docker("logs", "--tail", "1", box).stdout == "200000\n"
    wherryd.docker("rm", "-f", box)
    assert time.monotonic() - began < 60


def test_a_receiver_that_does_not_read_stops_nobody(
    wherryd: Wherryd, box: str, receiver: Callable[..., Receiver]
) -> None:
    silent = Receiver(LOCALHOST, STREAM)  # connections are made by the kernel; nobody reads
    try:
        run(wherryd, "syslog", "seq 1 300000", syslog_address=f"tcp://127.0.0.1:{silent.port}")
        assert wherryd.docker("logs", "--tail", "1", box).stdout == "300000\n"
        wherryd.docker("rm", "-f", box)
    finally:
        silent.close()


def test_a_receiver_that_comes_back_gets_what_was_written_meanwhile(
    wherryd: Wherryd, box: str, receiver: Callable[..., Receiver]
) -> None:
    first = receiver(LOCALHOST, STREAM)
    address = first.socket.getsockname()
    run(wherryd, "syslog", "sleep 1000", "-d", syslog_address=f"tcp://127.0.0.1:{address[1]}")

    def write(*numbers: int) -> None:
        for number in numbers:
            wherryd.docker("exec", box, "sh", "-c", f"echo got {number} > /proc/1/fd/1")

    write(1)
    first.until(lambda got: "got 1\n" in text(got))
    first.close()
    write(2, 3)
    again = receiver(address, STREAM)
    write(4)
    again.until(lambda got: "got 4\n" in text(got))
    assert [line.split("]: ")[1] for line in text(again.got).splitlines()] == ["got 2", "got 3", "got 4"]


def test_drops_are_told(wherryd: Wherryd, box: str) -> None:
    """Of a log larger than what is kept of it, that nobody received."""
    since = str(time.time())
    run(
        wherryd,
        "fluentd",
        "seq 1 100000",
        fluentd_address="tcp://127.0.0.1:1",
        cache_max_size="100k",
        cache_max_file="2",
    )
    wherryd.docker("rm", box)
    told = wherryd.docker(
        "events", "--since", since, "--until", str(time.time() + 1), "-f", "event=log_dropped"
    )
    lost = sum(
        int(line.split("records=")[1].split(")")[0].split(",")[0]) for line in told.stdout.splitlines()
    )
    assert lost == 100_000
    assert "records of its log were dropped unsent" in wherryd.log.read_text()


def test_rotated_files_are_compressed_and_read(wherryd: Wherryd, box: str) -> None:
    options = {"max_size": "100k", "max_file": "4", "compress": "true"}
    run(wherryd, "json-file", "seq 1 5000", **options)
    path = Path(wherryd.get(f"/containers/{box}/json").json["LogPath"])
    eventually((path.parent / f"{path.name}.1.gz").exists)
    assert wherryd.docker("logs", box).stdout.splitlines() == [str(number) for number in range(1, 5001)]
    assert len(wherryd.docker("logs", "--tail", "3000", box).stdout.splitlines()) == 3000


def test_the_driver_local(wherryd: Wherryd, box: str) -> None:
    run(wherryd, "local", "echo out; echo err >&2", max_size="1m")
    done = wherryd.docker("logs", box)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_logs_never_fill_a_disk(wherryd: Wherryd, box: str) -> None:
    """Without options, which is what clients are shown, a log is rotated all the same."""
    run(wherryd, "json-file", "yes 0123456789012345678901234567890123456789 | head -n 2000000")
    seen = wherryd.get(f"/containers/{box}/json").json
    assert seen["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {}}
    files = list(Path(seen["LogPath"]).parent.glob("*-json.log*"))
    assert len(files) == 5
    assert max(file.stat().st_size for file in files) < 20_200_000


def test_drivers_are_told(wherryd: Wherryd) -> None:
    plugins = wherryd.get("/info").json["Plugins"]["Log"]
    assert plugins == ["fluentd", "gelf", "journald", "json-file", "local", "syslog"]


def test_the_journal_must_be_there(wherryd: Wherryd, box: str) -> None:
    wherryd.docker("create", "--name", box, "--log-driver=journald", "busybox", "true")
    refused = wherryd.call("POST", f"/containers/{box}/start")
    assert refused.status == 500
    assert refused.json["message"] == (
        "failed to create task for container: failed to initialize logging driver: "
        "journald is not enabled on this host"
    )
