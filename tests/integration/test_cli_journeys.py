"""What users do with the official CLI beyond the first run: options seen from inside, listings, texts."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, oci_files, tar
from tests.terminal import Terminal
from tests.waiting import eventually, served

pytestmark = pytest.mark.root


@pytest.fixture
def sleeper(wherryd: Wherryd) -> Iterator[str]:
    """A running container with an IPC namespace that others may join."""
    wherryd.docker(
        "run", "-d", "--name", "sleeper", "--ipc", "shareable", "-e", "A=b", "busybox", "sleep", "1000"
    )
    yield "sleeper"
    wherryd.docker("rm", "-f", "sleeper", check=False)


def shell(wherryd: Wherryd, script: str, *options: str) -> str:
    return wherryd.docker("run", "--rm", *options, "busybox", "sh", "-c", script).stdout


def refused(wherryd: Wherryd, *args: str) -> str:
    """What a command that must fail says."""
    done = wherryd.docker(*args, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def namespace(wherryd: Wherryd, kind: str, *options: str) -> str:
    return shell(wherryd, f"readlink /proc/self/ns/{kind}", *options).strip()


@pytest.mark.parametrize("kind", ["ipc", "pid", "uts"])
def test_namespaces_of_the_host(wherryd: Wherryd, kind: str) -> None:
    hosts = os.readlink(f"/proc/self/ns/{kind}")
    assert namespace(wherryd, kind, f"--{kind}", "host") == hosts
    assert namespace(wherryd, kind) != hosts


@pytest.mark.parametrize("kind", ["ipc", "pid", "network"])
def test_namespaces_of_another_container(wherryd: Wherryd, sleeper: str, kind: str) -> None:
    name = "net" if kind == "network" else kind
    theirs = wherryd.docker("exec", sleeper, "readlink", f"/proc/1/ns/{name}").stdout.strip()
    assert namespace(wherryd, name, f"--{kind}", f"container:{sleeper}") == theirs


def test_another_containers_network_is_taken_as_it_is(wherryd: Wherryd, sleeper: str) -> None:
    theirs = wherryd.docker("exec", sleeper, "hostname", "-i").stdout
    assert shell(wherryd, "hostname -i", "--network", "container:sleeper") == theirs
    beside = ("run", "--rm", "--network", "container:sleeper")
    for options, text in (
        (("-p", "80:80"), "port publishing and the container type network mode"),
        (("-h", "x"), "hostname and the network mode"),
        (("--dns", "1.1.1.1"), "dns and the network mode"),
    ):
        assert f"conflicting options: {text}" in refused(wherryd, *beside, *options, "busybox", "true")


def test_a_private_ipc_namespace_is_not_joined(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "closed", "busybox", "sleep", "1000")
    said = refused(wherryd, "run", "--rm", "--ipc", "container:closed", "busybox", "true")
    wherryd.docker("rm", "-f", "closed")
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in said


def test_networks_without_addresses_to_choose(wherryd: Wherryd) -> None:
    assert shell(wherryd, "ip -o link | grep -vc tunl", "--network", "none") == "1\n"
    assert shell(wherryd, "hostname", "--network", "host") == os.uname().nodename + "\n"
    said = refused(wherryd, "run", "--rm", "--ip", "172.17.0.9", "busybox", "true")
    assert "user specified IP address is supported on user defined networks only" in said
    said = wherryd.docker("run", "--rm", "--network", "host", "-p", "80:80", "busybox", "true").stderr
    assert "Published ports are discarded when using host network mode" in said


def test_host_gateway(wherryd: Wherryd) -> None:
    gateway = wherryd.docker(
        "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge"
    ).stdout
    seen = shell(wherryd, "grep up /etc/hosts", "--add-host", "up:host-gateway")
    assert seen == f"{gateway.strip()}\tup\n"


def test_ports(wherryd: Wherryd) -> None:
    options = ["-p", "127.0.0.1::80", "-p", "5300-5301:53-54/udp", "-P", "--expose", "7000-7001"]
    wherryd.docker(
        "run", "-d", "--name", "open", *options, "busybox", "nc", "-ll", "-p", "80", "-e", "echo", "hi"
    )
    lines = wherryd.docker("port", "open").stdout.splitlines()
    address = wherryd.docker("port", "open", "80").stdout.strip()
    shown = wherryd.docker("ps", "--format", "{{.Ports}}").stdout
    host, _, port = address.partition(":")
    answer = served(int(port))
    taken = refused(wherryd, "run", "--name", "late", "-p", f"127.0.0.1:{port}:80", "busybox", "true")
    wherryd.docker("rm", "-f", "open", "late")
    assert host == "127.0.0.1"
    assert "53/udp -> 0.0.0.0:5300" in lines
    assert "54/udp -> 0.0.0.0:5301" in lines
    assert [line.split()[0] for line in lines if line.startswith("700")]
    assert f"{address}->80/tcp" in shown
    assert answer == b"hi\n"
    assert "port is already allocated" in taken


def test_files_of_options(wherryd: Wherryd, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nONE=1\nTWO=a b\n")
    (tmp_path / "labels").write_text("from.file=yes\n")
    files = ["--env-file", str(tmp_path / "env"), "--label-file", str(tmp_path / "labels")]
    files += ["--cidfile", str(tmp_path / "id")]
    assert wherryd.docker("run", *files, "busybox", "sh", "-c", "echo $ONE-$TWO").stdout == "1-a b\n"
    identifier = (tmp_path / "id").read_text()
    label = wherryd.docker("inspect", "-f", '{{index .Config.Labels "from.file"}}', identifier).stdout
    wherryd.docker("rm", identifier)
    assert label == "yes\n"


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs /dev/fuse")
def test_devices(wherryd: Wherryd) -> None:
    script = "(: < /dev/mine) && echo readable; (: > /dev/mine) 2>/dev/null || echo denied"
    assert shell(wherryd, script, "--device", "/dev/fuse:/dev/mine:r") == "readable\ndenied\n"
    said = refused(wherryd, "run", "--rm", "--device", "/dev/nosuch", "busybox", "true")
    assert 'error gathering device information while adding custom device "/dev/nosuch"' in said


def test_other_options(wherryd: Wherryd) -> None:
    assert shell(wherryd, "id -G", "--group-add", "7", "--group-add", "staff") == "0 7 50\n"
    assert shell(wherryd, "cat /proc/sys/net/core/somaxconn", "--sysctl", "net.core.somaxconn=77") == "77\n"
    assert shell(wherryd, "cat /proc/self/oom_score_adj", "--oom-score-adj", "500") == "500\n"
    assert shell(wherryd, "hostname -f", "-h", "a", "--domainname", "b.c") == "a.b.c\n"
    assert (
        shell(wherryd, "cat /proc/self/cpuset | wc -l", "--cpuset-cpus", "0", "--cpu-shares", "100") == "1\n"
    )
    assert shell(wherryd, "ip link show eth0", "--mac-address", "02:42:ac:11:00:99").count(
        "02:42:ac:11:00:99"
    )
    said = refused(wherryd, "run", "--rm", "--pull", "never", "nosuch", "true")
    assert "No such image: nosuch:latest" in said


def test_a_restart_policy_outlives_a_failure_but_not_a_stop(wherryd: Wherryd, tmp_path: Path) -> None:
    script = "echo x >> /data/runs; test $(wc -l < /data/runs) -ge 2 || exit 1; sleep 1000"
    options = ["--restart", "unless-stopped", "-v", f"{tmp_path}:/data", "--stop-timeout", "0"]
    (tmp_path / "runs").touch()
    wherryd.docker("run", "-d", "--name", "again", *options, "busybox", "sh", "-c", script)
    eventually(lambda: (tmp_path / "runs").read_text() == "x\nx\n")
    wherryd.docker("stop", "again")
    state = wherryd.docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "again").stdout
    wherryd.docker("rm", "again")
    assert state == "exited 1\n"


def test_start_with_input(wherryd: Wherryd) -> None:
    wherryd.docker("create", "-i", "--name", "fed", "busybox", "sh", "-c", "wc -c; exit 3")
    done = wherryd.docker("start", "-ai", "fed", stdin=b"12345", check=False)
    again = wherryd.docker("start", "-ai", "fed", stdin=b"1", check=False)
    wherryd.docker("rm", "fed")
    assert (done.returncode, done.stdout) == (3, "5\n")
    assert (again.returncode, again.stdout) == (3, "1\n")


def test_signals_go_through_an_attached_client(wherryd: Wherryd) -> None:
    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    argv = ["docker", "run", "--rm", "--name", "proxied", "busybox", "sh", "-c", script]
    with subprocess.Popen(argv, env=wherryd.client_env, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.terminate()
        assert client.stdout.read() == b"caught\n"
        assert client.wait(20) == 9


def test_detaching_leaves_it_running(wherryd: Wherryd, sleeper: str) -> None:
    argv = ["docker", "attach", "--sig-proxy=false", "--no-stdin", sleeper]
    with subprocess.Popen(argv, env=wherryd.client_env, stdout=subprocess.PIPE) as client:
        time.sleep(0.5)
        client.terminate()
        client.wait(20)
    assert wherryd.docker("inspect", "-f", "{{.State.Running}}", sleeper).stdout == "true\n"


def test_a_terminal_is_needed_where_it_is_asked_for(wherryd: Wherryd) -> None:
    assert "the input device is not a TTY" in refused(wherryd, "run", "-it", "--rm", "busybox", "true")
    with Terminal(["docker", "run", "-it", "--rm", "busybox", "tty"], wherryd.client_env) as person:
        person.wait_for("/dev/pts/0")
        assert person.wait() == 0


def test_ps_formats(wherryd: Wherryd, sleeper: str) -> None:
    wherryd.docker("create", "--name", "idle", "-l", "a=b", "-l", "c=d", "busybox", "echo", "some words")
    shown = wherryd.docker("ps", "-a", "--format", "json", "--filter", "name=idle").stdout
    with_size = wherryd.docker(
        "ps", "-as", "--format", "{{.Names}} {{.Size}}", "--filter", "status=created"
    ).stdout
    quiet = wherryd.docker("ps", "-aq", "--last", "1").stdout.strip()
    table = wherryd.docker("ps", "--no-trunc").stdout.splitlines()
    for words in (
        ["label=c=d"],
        ["status=created"],
        ["since=sleeper"],
        ["id=" + quiet],
        ["volume=/x", "name=no"],
    ):
        args = [part for word in words for part in ("--filter", word)]
        found = wherryd.docker("ps", "-a", *args, "--format", "{{.Names}}").stdout
        assert found == ("idle\n" if len(words) == 1 else ""), words
    exited = wherryd.docker("ps", "-a", "--filter", "exited=0", "--format", "{{.Names}}").stdout
    wherryd.docker("rm", "idle")
    row = json.loads(shown)
    labels = sorted(row["Labels"].split(","))  # the CLI walks a map: in no fixed order
    assert (row["Names"], row["State"], labels) == ("idle", "created", ["a=b", "c=d"])
    assert row["Command"] == "\"echo 'some words'\""
    assert with_size.startswith("idle 0B (virtual 2.0")
    assert row["ID"] == quiet
    assert table[0].split()[:3] == ["CONTAINER", "ID", "IMAGE"]
    assert exited == ""


def test_inspect_formats(wherryd: Wherryd, sleeper: str) -> None:
    form = "{{.Name}} {{.State.Status}} {{.Config.Image}} {{.HostConfig.IpcMode}} {{len .Mounts}} {{.Driver}}"
    assert wherryd.docker("inspect", "-f", form, sleeper).stdout.startswith(
        "/sleeper running busybox shareable 0 "
    )
    ranged = (
        "{{range .Config.Env}}{{println .}}{{end}}{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}"
    )
    assert wherryd.docker("inspect", "-f", ranged, sleeper).stdout.splitlines() == ["A=b", "bridge"]
    hidden = wherryd.docker(
        "inspect", "-f", "{{.HostConfig.MaskedPaths}} {{.HostConfig.ReadonlyPaths}}", sleeper
    )
    assert "/proc/kcore" in hidden.stdout
    assert "/proc/sysrq-trigger" in hidden.stdout
    sized = wherryd.docker("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", sleeper).stdout.split()
    assert int(sized[1]) > 1_000_000
    kinds = wherryd.docker("inspect", "--type", "image", "-f", "{{.RepoTags}} {{.Os}}", "busybox").stdout
    assert kinds == "[busybox:latest] linux\n"
    assert refused(wherryd, "inspect", "nosuch") == "Error: No such object: nosuch\n"


def test_events_are_told_by_filters(wherryd: Wherryd) -> None:
    since = str(time.time())
    wherryd.docker("run", "--rm", "--name", "told", "-l", "k=v", "busybox", "true")
    window = (
        "events",
        "--since",
        since,
        "--until",
        str(time.time() + 1),
        "--format",
        "{{.Type}} {{.Action}}",
    )
    by_label = wherryd.docker(*window, "--filter", "label=k=v", "--filter", "event=die").stdout
    by_image = wherryd.docker(*window, "--filter", "image=busybox", "--filter", "event=destroy").stdout
    by_type = wherryd.docker(*window, "--filter", "type=network", "--filter", "network=bridge").stdout
    assert (by_label, by_image) == ("container die\n", "container destroy\n")
    assert by_type == "network connect\nnetwork disconnect\n"


def test_load_and_rmi(wherryd: Wherryd, busybox_tar: Path, tmp_path: Path) -> None:
    made = Made(layers=[busybox_tar.read_bytes()], tags=["cli:loaded"])
    (tmp_path / "oci").mkdir()
    for name, data in oci_files(made).items():
        (tmp_path / "oci" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "oci" / name).write_bytes(data)
    archive = tmp_path / "archive.tar"
    copy = ["skopeo", "copy", f"oci:{tmp_path / 'oci'}", f"docker-archive:{archive}:cli:loaded"]
    subprocess.run(copy, check=True, capture_output=True)
    assert wherryd.docker("load", "-i", str(archive)).stdout == "Loaded image: cli:loaded\n"
    assert wherryd.docker("load", stdin=docker_archive(made)).stdout == "Loaded image: cli:loaded\n"
    wherryd.docker("tag", "cli:loaded", "cli:second")
    wherryd.docker("create", "--name", "user", "cli:second")
    assert "Untagged: cli:second" in wherryd.docker("rmi", "cli:second").stdout
    said = refused(wherryd, "rmi", "cli:loaded")
    wherryd.docker("rm", "user")
    removed = wherryd.docker("rmi", "cli:loaded").stdout
    assert 'unable to remove repository reference "cli:loaded" (must force) - container ' in said
    assert "Deleted: sha256:" in removed
    assert "No such image: cli:loaded" in refused(wherryd, "rmi", "cli:loaded")


def test_import_with_changes(wherryd: Wherryd) -> None:
    changes = ["ENV A=b", "WORKDIR /w", 'ENTRYPOINT ["/run"]', "EXPOSE 80/tcp", "LABEL x=y", "USER 7"]
    args = [part for change in changes for part in ("--change", change)]
    root = tar({"w/file": b"x"})
    wherryd.docker("import", *args, "--message", "made", "-", "cli:imported", stdin=root)
    form = "{{.Config.Env}} {{.Config.WorkingDir}} {{.Config.Entrypoint}} {{.Config.ExposedPorts}} {{.Config.User}}"
    seen = wherryd.docker("image", "inspect", "-f", form + " {{.Comment}}", "cli:imported").stdout
    said = wherryd.docker("import", "--change", "RUN true", "-", "cli:bad", stdin=root, check=False).stderr
    wherryd.docker("rmi", "cli:imported")
    assert seen == "[A=b] /w [/run] map[80/tcp:{}] 7 made\n"
    assert "RUN is not a valid change command" in said
