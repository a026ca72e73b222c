"""User namespaces: `userns-remap`, and containers of the host's beside those that have one."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.daemon import DaemonFailed, Wherryd
from tests.integration.host_config.conftest import Run, refused, require_refused
from tests.remapped import COUNT, FIRST, remapped, write_ranges
from tests.waiting import eventually

pytestmark = pytest.mark.root
OWN = {"NetworkMode": "bridge"}


@pytest.fixture(scope="module")
def wherryd(busybox_tar: Path) -> Iterator[Wherryd]:
    with remapped().running(busybox_tar) as daemon:
        yield daemon


def maps(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/uid_map").read_text().split()


def test_root_of_a_container_is_nobody_on_the_host(run: Run, wherryd: Wherryd) -> None:
    box = run(OWN)
    assert maps(box.pid) == ["0", str(FIRST), str(COUNT)]
    assert Path(f"/proc/{box.pid}").stat().st_uid == FIRST
    assert box.shell("id -u; cat /proc/sys/net/ipv4/ip_unprivileged_port_start").split() == ["0", "0"]
    assert "name=userns" in wherryd.get("/info").json["SecurityOptions"]
    assert box.inspect()["HostConfig"]["UsernsMode"] == ""


def test_what_it_sees_is_its_own(run: Run) -> None:
    files = "/ /bin/busybox /etc/hosts /etc/hostname /etc/resolv.conf /dev/shm /t /w /made"
    box = run({**OWN, "Tmpfs": {"/t": ""}}, WorkingDir="/w")
    shown = box.shell(f"touch /made; stat -c '%n %u:%g' {files}").split("\n")
    assert [line for line in shown if not line.endswith(" 0:0")] == [""]


def test_processes_of_users(run: Run) -> None:
    box = run({"GroupAdd": ["33"]}, User="1000:1001")
    status = Path(f"/proc/{box.pid}/status").read_text()
    assert f"Uid:\t{FIRST + 1000}\t" in status
    assert {f"{FIRST + 1001}", f"{FIRST + 33}"} <= set(status.split("Groups:")[1].split("\n")[0].split())
    assert box.shell("id -u; echo x > /dev/stdout") == "1000\nx\n"
    terminal = box.daemon.docker("exec", "-t", "-u", "7", box.id, "stat", "-c", "%u:%g", "/dev/pts/0")
    assert terminal.stdout.split() == ["7:5"]


def test_output_of_a_user(wherryd: Wherryd) -> None:
    """It may open its own standard streams by their names."""
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin"
    done = wherryd.docker("run", "--rm", "-i", "-u", "33", "busybox", "sh", "-c", script, stdin=b"in\n")
    assert (done.stdout, done.stderr) == ("out\nin\n", "err\n")


def test_one_of_the_host_beside_it(run: Run, wherryd: Wherryd) -> None:
    box = run({"UsernsMode": "host", "Privileged": True, "PidMode": "host"})
    assert maps(box.pid)[:2] == ["0", "0"]
    assert box.shell("stat -c %u:%g / /bin/busybox /etc/hosts").split() == ["0:0"] * 3
    assert box.inspect()["HostConfig"]["UsernsMode"] == "host"


def test_what_needs_the_hosts(wherryd: Wherryd) -> None:
    require_refused(
        wherryd,
        ({"Privileged": True}, "privileged mode is incompatible with user namespaces.  You must run"),
        ({"NetworkMode": "host"}, "cannot share the host's network namespace when user namespaces are"),
        ({"PidMode": "host"}, "cannot share the host PID namespace when user namespaces are enabled"),
    )


def test_an_image_of_it_has_its_own_ids(run: Run, wherryd: Wherryd) -> None:
    script = "echo x > /f; chown 5:6 /f; ln -s f /l; chown -h 7:8 /l; echo ready > /r"
    box = run(OWN)
    box.shell(script)
    wherryd.docker("commit", box.id, "of-it")
    wherryd.docker("stop", "-t", "0", box.id)
    try:
        for mode in ("", "host"):
            arguments = ["run", "--rm", *(["--userns", mode] if mode else []), "of-it"]
            shown = wherryd.docker(*arguments, "stat", "-c", "%u:%g", "/f", "/l", "/bin")
            assert shown.stdout.split() == ["5:6", "7:8", "0:0"]
    finally:
        wherryd.docker("rmi", "of-it")
    assert "A /f" in wherryd.docker("diff", box.id).stdout.split("\n")


@pytest.mark.parametrize("stopped", [False, True])
def test_an_export_of_it_has_its_own_ids(run: Run, wherryd: Wherryd, stopped: bool) -> None:
    box = run()
    box.shell("echo x > /f; chown 5:6 /f")
    if stopped:
        wherryd.docker("stop", "-t", "0", box.id)
    archive = wherryd.get(f"/containers/{box.id}/export").body
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        owners = {(each.uid, each.gid) for each in tar if each.name != "f"}
        found = tar.getmember("f")
    assert (found.uid, found.gid) == (5, 6)
    assert owners == {(0, 0)}


def test_volumes(run: Run, wherryd: Wherryd) -> None:
    """A new one is the container's root's; one that gets what the image has, that one's owner."""
    maker = run(OWN)
    maker.shell("mkdir -p /data/in; chown 5:6 /data; chown 7:8 /data/in")
    wherryd.docker("commit", maker.id, "with-data")
    try:
        box = run({"Binds": ["u-empty:/v", "u-full:/data"]}, Image="with-data")
        assert box.shell("touch /v/f; stat -c %u:%g /v /v/f /data /data/in").split() == [
            *("0:0", "0:0", "5:6", "7:8")
        ]
        root = wherryd.data_root / "volumes"
        owner = (root / "u-full/_data/in").stat()
        assert (owner.st_uid, owner.st_gid) == (FIRST + 7, FIRST + 8)
        assert (root / "u-empty/_data").stat().st_uid == FIRST
        host = run({"UsernsMode": "host", "Binds": ["u-empty:/v"]})
        assert host.shell("stat -c %u /v/f").strip() == str(FIRST)
        wherryd.docker("rm", "-f", host.id, box.id)
    finally:
        wherryd.docker("volume", "rm", "u-empty", "u-full")
        wherryd.docker("rmi", "with-data")


def test_images_and_parts(run: Run, wherryd: Wherryd) -> None:
    """What is mounted of an image or a volume has the container's ids, whole or in part; nothing of it is shared."""
    maker = run({"Binds": ["u-parts:/v"]})
    maker.shell("mkdir /v/in; echo x > /v/in/f; chown 5:6 /v/in/f; mkdir /etc/of; chown 7:8 /etc/of")
    wherryd.docker("commit", maker.id, "of-parts")
    image = {"Type": "image", "Source": "of-parts", "Target": "/img"}
    part = {**image, "Target": "/part", "ImageOptions": {"Subpath": "etc"}}
    volume = {"Type": "volume", "Source": "u-parts", "Target": "/v", "VolumeOptions": {"Subpath": "in"}}
    try:
        for mode in ("", "host"):
            box = run({"UsernsMode": mode, "Mounts": [image, part, volume]})
            base = 0 if mode == "" else FIRST
            shown = box.shell(
                "stat -c %u:%g /img /img/etc/of /part/of /v/f; touch /v/g; touch /part/g 2>&1; true"
            ).split("\n")
            assert shown[:4] == ["0:0", "7:8", "7:8", f"{base + 5}:{base + 6}"]
            assert "Read-only file system" in shown[4]
            wherryd.docker("rm", "-f", box.id)
        wherryd.docker("rm", "-f", maker.id)
    finally:
        wherryd.docker("volume", "rm", "u-parts")
        wherryd.docker("rmi", "of-parts")


def test_binds_are_the_hosts(run: Run, tmp_path: Path) -> None:
    """What belongs to nobody here is shown, and cannot be written."""
    (tmp_path / "f").write_text("x")
    tmp_path.chmod(0o755)
    box = run({"Binds": [f"{tmp_path}:/b"]})
    assert box.shell("stat -c %u:%g /b/f; touch /b/g 2>&1 || echo refused").split("\n")[0] == "65534:65534"
    assert not (tmp_path / "g").exists()
    os.chown(tmp_path, FIRST + 5, FIRST + 5)
    assert box.shell("stat -c %u:%g /b").strip() == "5:5"


def test_who_joins_another(run: Run) -> None:
    donor = run({**OWN, "IpcMode": "shareable"})
    donor.shell("echo kept > /dev/shm/kept; chown 5 /dev/shm/kept")
    ways = {"IpcMode": "ipc", "PidMode": "pid", "NetworkMode": "net"}
    box = run(dict.fromkeys(ways, f"container:{donor.id}"))
    for kind in ("user", *ways.values()):
        links = {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in (donor.pid, box.pid)}
        assert len(links) == 1, kind
    assert box.shell("cat /dev/shm/kept; stat -c %u:%g /dev/shm/kept /etc/hosts").split() == [
        *("kept", "5:0", "0:0")
    ]


def test_who_joins_one_with_other_users(run: Run, wherryd: Wherryd) -> None:
    """A container with its own users cannot own what is the host's; one of the host can join anything."""
    donor = run({**OWN, "UsernsMode": "host", "IpcMode": "shareable"})
    for way in ("IpcMode", "PidMode", "NetworkMode"):
        status, text = refused(wherryd, {way: f"container:{donor.id}"})
        assert (status, "has not the same user namespace" in text) == (400, True), text
    mapped = run({**OWN, "IpcMode": "shareable"})
    box = run({"UsernsMode": "host", "NetworkMode": f"container:{mapped.id}"})
    assert os.readlink(f"/proc/{box.pid}/ns/net") == os.readlink(f"/proc/{mapped.pid}/ns/net")


def test_networks(run: Run, wherryd: Wherryd) -> None:
    """Its network is made once its process is there: ports, names, links and hot changes are as with any other."""
    wherryd.docker("network", "create", "u-net")
    try:
        web = "echo hello > /index.html; exec httpd -f -p 80 -h /"
        ports: dict[str, object] = {"ExposedPorts": {"80/tcp": {}}}
        server = run(
            {"NetworkMode": "u-net", "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}]}},
            Cmd=["sh", "-c", web],
            **ports,
        )
        name = server.inspect()["Name"].lstrip("/")
        client = run({"NetworkMode": "u-net", "Sysctls": {"net.ipv4.ip_default_ttl": "33"}})
        eventually(lambda: client.shell(f"wget -qO- http://{name}/ || true") == "hello\n")  # once it listens
        assert client.shell("cat /proc/sys/net/ipv4/ip_default_ttl") == "33\n"
        address = server.inspect()["NetworkSettings"]["Networks"]["u-net"]["IPAddress"]
        assert address in server.shell("cat /etc/hosts")
        assert server.inspect()["NetworkSettings"]["Ports"]["80/tcp"]
        wherryd.docker("network", "connect", "bridge", client.id)
        assert client.shell("ip -o -4 addr show eth1 | wc -l").strip() == "1"
        wherryd.docker("network", "disconnect", "u-net", client.id)
        assert client.shell("ip -o -4 addr show eth0 2>&1 | wc -l; stat -c %u /etc/hosts").split()[-1] == "0"
        wherryd.docker("rm", "-f", server.id, client.id)
    finally:
        wherryd.docker("network", "rm", "u-net")


def test_links(run: Run) -> None:
    web = "echo hello > /index.html; exec httpd -f -p 80 -h /"
    server = run(OWN, Cmd=["sh", "-c", web], ExposedPorts={"80/tcp": {}})
    name = server.inspect()["Name"].lstrip("/")
    client = run({**OWN, "Links": [f"{name}:web"]})
    eventually(lambda: client.shell("wget -qO- http://web/ || true") == "hello\n")  # once it listens
    assert client.shell("echo $WEB_PORT_80_TCP_PORT") == "80\n"


def test_a_killed_daemon_and_restarts(run: Run, wherryd: Wherryd) -> None:
    box = run({**OWN, "IpcMode": "shareable", "RestartPolicy": {"Name": "always"}})
    box.shell("echo x > /f; chown 5:6 /f; echo y > /dev/shm/y")
    wherryd.kill9()
    wherryd.start()
    assert box.inspect()["State"]["Pid"] == box.pid
    assert box.shell("stat -c %u:%g /f /dev/shm/y").split() == ["5:6", "0:0"]
    wherryd.docker("restart", "-t", "0", box.id)
    assert maps(box.inspect()["State"]["Pid"])[1] == str(FIRST)
    assert box.shell("stat -c %u:%g /f /etc/hosts; ip -o -4 addr show eth0 | wc -l").split() == [
        *("5:6", "0:0", "1")
    ]


def test_it_keeps_its_ids_for_life(run: Run, wherryd: Wherryd) -> None:
    """Whatever the daemon gives new ones: its volumes are owned by them."""
    box = run({"Binds": ["u-kept:/v"]})
    box.shell("echo x > /v/f")
    write_ranges(wherryd.root, f"nobody:2000000:1000\nnobody:{FIRST}:{COUNT}\n")
    try:
        wherryd.restart()
        wherryd.docker("restart", "-t", "0", box.id)
        assert maps(box.inspect()["State"]["Pid"]) == ["0", str(FIRST), str(COUNT)]
        assert box.shell("stat -c %u /v/f").strip() == "0"
        other = run({"Binds": ["u-kept:/v"]})
        assert maps(other.pid) == ["0", "2000000", "1000", "1000", str(FIRST), str(COUNT)]
        assert other.shell("stat -c %u /bin/busybox /v/f").split() == ["0", "1000"]
    finally:
        write_ranges(wherryd.root, f"nobody:{FIRST}:{COUNT}\n")
        wherryd.restart()
    wherryd.docker("rm", "-f", box.id, other.id)
    wherryd.docker("volume", "rm", "u-kept")


def test_an_account_without_ranges() -> None:
    daemon = remapped(ranges="")
    try:
        with pytest.raises(DaemonFailed, match='no subuid ranges found for user "nobody": add a line'):
            daemon.start()
    finally:
        daemon.destroy()


def test_the_account_that_is_made(tmp_path: Path) -> None:
    """`default` makes Docker's account with ranges behind all others: in an /etc of its own, without the host's."""
    before = Path("/etc/passwd").read_text()
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    code = (
        "import asyncio, engine.userns_remap as remap\n"
        "for _ in range(2): print(asyncio.run(remap.identity_of('default')).to_lists())"
    )
    layers = f"lowerdir=/etc,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    script = (
        f"mount -t overlay -o {layers} overlay /etc && sed -i /^dockremap:/d /etc/passwd /etc/group /etc/shadow && "
        "echo other:200000:65536 | tee /etc/subuid > /etc/subgid && "
        f'exec {sys.executable} -I -c "{code}"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[[[0, 265536, 65536]], [[0, 265536, 65536]]]"] * 2
    assert Path("/etc/passwd").read_text() == before


@pytest.mark.parametrize("stopped", [False, True])
def test_what_is_copied_has_the_containers_ids(run: Run, wherryd: Wherryd, stopped: bool) -> None:
    box = run({"Binds": ["u-copied:/v"]})
    if stopped:
        wherryd.docker("stop", "-t", "0", box.id)
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, uid in (("root", 0), ("user", 5)):
            member = tarfile.TarInfo(name)
            member.uid = member.gid = uid
            tar.addfile(member)
    for path in ("/tmp", "/v"):
        query = f"path={path}&copyUIDGID=1"
        answer = wherryd.call("PUT", f"/containers/{box.id}/archive?{query}", archive.getvalue())
        assert answer.status == 200, answer.body
        with tarfile.open(
            fileobj=BytesIO(wherryd.get(f"/containers/{box.id}/archive?path={path}/user").body)
        ) as tar:
            assert (tar.getmember("user").uid, tar.getmember("user").gid) == (5, 5)
    if stopped:
        wherryd.docker("start", box.id)
    shown = box.shell("stat -c %u:%g /tmp/root /tmp/user /v/root /v/user").split()
    assert shown == ["0:0", "5:5", "0:0", "5:5"]
    wherryd.docker("rm", "-f", box.id)
    wherryd.docker("volume", "rm", "u-copied")
