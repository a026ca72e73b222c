"""docker-py, which asks for the newest API there is."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient as Client
from docker import errors, types

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive
from tests.waiting import eventually

pytestmark = [
    pytest.mark.root,
    # docker-py leaves the sockets of its streams to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SLEEP = ["sleep", "1000"]
LATE = "sleep 0.5"
"""Before an exec writes: what comes together with the head of the answer docker-py loses."""


@pytest.fixture
def sleeper(docker_py: Client) -> Iterator[Any]:
    container = docker_py.containers.run("busybox", SLEEP, name="py", detach=True, labels={"a": "b"})
    yield container
    container.remove(force=True)


def run(client: Client, script: str, **options: Any) -> Any:
    """The output of a container that is removed afterwards."""
    return client.containers.run("busybox", ["sh", "-c", script], remove=True, **options)


def raw(stream: Any) -> socket.socket:
    """The socket beneath what docker-py gives."""
    found: socket.socket = stream._sock
    return found


def test_the_daemon(docker_py: Client, wherryd: Wherryd) -> None:
    assert docker_py.ping() is True
    assert docker_py.api._version == "1.55"
    assert docker_py.version()["ApiVersion"] == "1.55"
    assert docker_py.info()["DockerRootDir"] == str(wherryd.data_root)
    assert [network.name for network in docker_py.networks.list(names=["bridge"])] == ["bridge"]


def test_every_version_that_is_served(wherryd: Wherryd) -> None:
    for version in ("1.24", "1.41", "1.44"):
        client = Client(base_url=f"unix://{wherryd.socket}", version=version)
        assert run(client, "echo hi") == b"hi\n"
        client.close()


def test_run(docker_py: Client) -> None:
    assert run(docker_py, "echo out; echo err >&2") == b"out\n"
    assert run(docker_py, "echo out; echo err >&2", stderr=True, stdout=False) == b"err\n"
    assert b"".join(run(docker_py, "echo 1; echo 2", stream=True)) == b"1\n2\n"
    with pytest.raises(errors.ContainerError) as failure:
        run(docker_py, "echo why >&2; exit 3")
    assert (failure.value.exit_status, failure.value.stderr) == (3, b"why\n")
    assert docker_py.containers.list(all=True) == []


def test_options(docker_py: Client, tmp_path: Path) -> None:
    seen = run(
        docker_py,
        "echo $A; hostname; pwd; id -u; ulimit -n; cat /proc/1/comm; cat /data/in; cat /etc/hosts | tail -1;"
        "touch /x 2>/dev/null || echo ro; touch /scratch/x && echo rw; cat /proc/sys/net/ipv4/ip_forward",
        environment={"A": "b"},
        hostname="web",
        working_dir="/tmp",
        user="1000",
        ulimits=[types.Ulimit(name="nofile", soft=100, hard=200)],
        init=True,
        volumes={str(tmp_path): {"bind": "/data", "mode": "ro"}},
        mounts=[types.Mount("/more", str(tmp_path), type="bind")],
        extra_hosts={"db": "10.9.8.7"},
        read_only=True,
        tmpfs={"/scratch": "size=1m"},
        sysctls={"net.ipv4.ip_forward": "1"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        log_config=types.LogConfig(type="json-file", config={"max-size": "1m"}),
        shm_size="8m",
        stop_signal="SIGUSR1",
        network_mode="bridge",
        **given(tmp_path),
    ).decode()
    assert seen.split("\n")[:7] == ["b", "web", "/tmp", "1000", "100", "docker-init", "given"]
    assert seen.split("\n")[8:] == ["ro", "rw", "1", ""]


def given(directory: Path) -> dict[str, Any]:
    """A file in a directory that everybody may read, and limits."""
    (directory / "in").write_text("given\n")
    directory.chmod(0o755)
    return {"mem_limit": "64m", "pids_limit": 50, "nano_cpus": 500_000_000, "cpu_shares": 512}


def test_inspect(docker_py: Client) -> None:
    container = docker_py.containers.run(
        "busybox",
        SLEEP,
        detach=True,
        ports={"80/tcp": ("127.0.0.1", None), "53/udp": None},
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
        labels=["alone"],
        mem_limit="64m",
        tty=True,
        stdin_open=True,
    )
    try:
        container.reload()
        assert container.status == "running"
        assert container.labels == {"alone": ""}
        assert container.image.tags == ["busybox:latest"]
        host = container.attrs["HostConfig"]
        assert (host["Memory"], host["RestartPolicy"]["MaximumRetryCount"]) == (64 << 20, 3)
        (binding,) = container.ports["80/tcp"]
        assert binding["HostIp"] == "127.0.0.1"
        assert 0 < int(binding["HostPort"]) < 65536
        assert container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    finally:
        container.remove(force=True)


def test_a_life(docker_py: Client) -> None:
    container = docker_py.containers.create("busybox", SLEEP, name="life")
    assert container.status == "created"
    container.start()
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("other")
    assert docker_py.containers.get("other").id == container.id
    eventually(lambda: container.top(ps_args="-o pid,args")["Processes"][0][1].startswith("sleep"))
    container.restart(timeout=0)
    container.kill()
    container.reload()
    assert container.status == "exited"
    assert container.wait() == {"StatusCode": 137}
    container.start()
    container.stop(timeout=0)
    container.remove()
    with pytest.raises(errors.NotFound):
        container.reload()


def test_wait_conditions(docker_py: Client, sleeper: Any) -> None:
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(sleeper.wait(condition="next-exit", timeout=30)))
    waiter.start()
    time.sleep(0.3)
    sleeper.kill(signal="SIGKILL")
    waiter.join(1)
    while waiter.is_alive():  # it was not yet there to wait
        sleeper.start()
        sleeper.kill(signal="SIGKILL")
        waiter.join(1)
    assert answers == [{"StatusCode": 137}]


def test_list_and_its_filters(docker_py: Client, sleeper: Any) -> None:
    other = docker_py.containers.create("busybox", name="other")
    listing = docker_py.containers.list
    try:
        assert listing() == [sleeper]
        assert set(listing(all=True)) == {sleeper, other}
        assert listing(all=True, filters={"status": "created"}) == [other]
        assert listing(filters={"label": ["a=b"], "ancestor": "busybox", "name": "p"}) == [sleeper]
        assert listing(all=True, limit=1) == [other]
        assert listing(all=True, filters={"before": "other"}) == [sleeper]
        with pytest.raises(errors.APIError, match="invalid filter 'frob'"):
            listing(filters={"frob": "1"})
    finally:
        other.remove()


def test_logs(docker_py: Client) -> None:
    script = "echo one; echo bad >&2; sleep 1; echo two"
    container = docker_py.containers.run("busybox", ["sh", "-c", script], detach=True)
    try:
        followed = b"".join(container.logs(stream=True, follow=True)).split()
        assert (sorted(followed), followed[-1]) == ([b"bad", b"one", b"two"], b"two")
        assert container.logs(stderr=False) == b"one\ntwo\n"
        assert container.logs(tail=1) == b"two\n"
        stamp, _, text = container.logs(tail=1, timestamps=True).partition(b" ")
        assert text == b"two\n"
        since = float(time.time()) - 3600
        assert container.logs(since=since, stderr=False) == b"one\ntwo\n"
        assert container.logs(since=int(time.time()) + 60) == b""
        assert container.logs(until=int(since)) == b""
        assert stamp.endswith(b"Z")
    finally:
        container.remove(force=True)


def test_attach_with_a_half_close(docker_py: Client) -> None:
    container = docker_py.containers.create("busybox", ["sh", "-c", "wc -c; echo late"], stdin_open=True)
    try:
        stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        container.start()
        connection = raw(stream)
        connection.sendall(b"x" * 1_000_000)
        connection.shutdown(socket.SHUT_WR)
        output = b""
        while header := connection.recv(8, socket.MSG_WAITALL):
            kind, size = struct.unpack(">BxxxI", header)
            output += connection.recv(size, socket.MSG_WAITALL)
            assert kind == 1
        assert output == b"1000000\nlate\n"
        stream.close()
        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True)


def test_attach_stream(docker_py: Client, tmp_path: Path) -> None:
    script = "until [ -e /seen/attached ]; do sleep 0.05; done; echo out; echo err >&2"
    seen = [f"{tmp_path}:/seen"]
    container = docker_py.containers.run("busybox", ["sh", "-c", script], detach=True, volumes=seen)
    try:
        stream = container.attach(stream=True, demux=True)
        (tmp_path / "attached").touch()
        pieces = list(stream)
        assert b"".join(out or b"" for out, _ in pieces) == b"out\n"
        assert b"".join(err or b"" for _, err in pieces) == b"err\n"
    finally:
        container.remove(force=True)


def test_exec(sleeper: Any) -> None:
    both = f"{LATE}; echo out; echo err >&2; exit 4"
    assert sleeper.exec_run(["sh", "-c", both], demux=True) == (4, (b"out\n", b"err\n"))
    assert sleeper.exec_run(
        f"sh -c '{LATE}; id -u; echo $A; pwd'", user="7", environment={"A": "b"}, workdir="/tmp"
    ) == (
        0,
        b"7\nb\n/tmp\n",
    )
    assert b"".join(sleeper.exec_run(f"sh -c '{LATE}; seq 3'", stream=True).output) == b"1\n2\n3\n"
    assert sleeper.exec_run(f"sh -c '{LATE}; tty'", tty=True).output == b"/dev/pts/0\r\n"
    assert sleeper.exec_run("nosuch").exit_code == 127


def test_exec_by_a_socket(sleeper: Any) -> None:
    stream = sleeper.exec_run("cat", stdin=True, tty=True, socket=True).output
    connection = raw(stream)
    connection.sendall(b"hello\n")
    seen = b""
    while seen.count(b"hello") < 2:
        seen += connection.recv(100)
    connection.sendall(b"\x04")
    while connection.recv(100):
        pass
    stream.close()


def test_the_start_of_an_exec_decides_about_frames(docker_py: Client, sleeper: Any) -> None:
    """As docker-py's own tests have it: the exec has a terminal, its start says nothing of one."""
    made = docker_py.api.exec_create(sleeper.id, ["sh", "-c", f"{LATE}; echo hi"], tty=True)
    assert docker_py.api.exec_start(made["Id"], demux=True) == (b"hi\r\n", None)
    assert docker_py.api.exec_inspect(made["Id"])["ExitCode"] == 0
    with pytest.raises(errors.NotFound):
        docker_py.api.exec_inspect("0" * 64)


def test_events(docker_py: Client) -> None:
    events = docker_py.events(decode=True, filters={"type": "container", "label": "told"})
    docker_py.containers.run("busybox", "true", labels=["told"], remove=True)
    actions: list[str] = []
    for event in events:
        actions.append(event["Action"])
        if event["Action"] == "destroy":
            break
    events.close()
    assert [each for each in actions if each != "attach"] == ["create", "start", "die", "destroy"]
    stored = docker_py.events(
        decode=True, since=int(time.time()) - 60, until=int(time.time()) + 1, filters={"label": "told"}
    )
    assert "die" in [event["Action"] for event in stored]


def test_images(docker_py: Client) -> None:
    image = docker_py.images.get("busybox")
    assert image.tag("mine", tag="1") is True
    assert "mine:1" in docker_py.images.get("mine:1").tags
    assert [each.id for each in docker_py.images.list(name="mine")] == [image.id]
    docker_py.images.remove("mine:1")
    with pytest.raises(errors.ImageNotFound):
        docker_py.images.get("mine:1")
    with pytest.raises(errors.NotFound):
        docker_py.images.remove("mine:1")


def test_import_and_load(docker_py: Client, busybox_tar: Path, tmp_path: Path) -> None:
    docker_py.api.import_image(str(busybox_tar), repository="py", tag="imported", changes=["ENV A=b"])
    assert docker_py.containers.run("py:imported", ["sh", "-c", "echo $A"], remove=True) == b"b\n"
    archive = tmp_path / "archive.tar"
    archive.write_bytes(docker_archive(Made(layers=[busybox_tar.read_bytes()], tags=["py:loaded"])))
    (loaded,) = docker_py.images.load(archive.read_bytes())
    assert loaded.tags == ["py:loaded"]
    assert docker_py.containers.run("py:loaded", ["echo", "hi"], remove=True) == b"hi\n"
    docker_py.images.remove("py:imported")
    docker_py.images.remove("py:loaded")


def test_failures_have_classes(docker_py: Client, sleeper: Any) -> None:
    with pytest.raises(errors.NotFound, match="No such container: nosuch"):
        docker_py.containers.get("nosuch")
    with pytest.raises(errors.ImageNotFound, match="No such image: nosuch:latest"):
        docker_py.api.create_container("nosuch")
    with pytest.raises(errors.APIError) as failure:
        docker_py.containers.create("busybox", name="py")
    assert failure.value.status_code == 409
    with pytest.raises(errors.APIError) as failure:
        docker_py.api.remove_container("py")
    assert failure.value.status_code == 409
    with pytest.raises(errors.APIError) as failure:
        docker_py.swarm.init()
    assert failure.value.status_code == 501
    assert (
        failure.value.explanation == "swarm mode: not supported by this version of wherry (POST /swarm/init)"
    )
