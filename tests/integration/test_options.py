"""The options of `docker run`, seen from inside the container."""

from pathlib import Path

import pytest

from runtime import cgroups
from tests.daemon import Wherryd

pytestmark = pytest.mark.root


def shell(wherryd: Wherryd, script: str, *options: str) -> str:
    return wherryd.docker("run", "--rm", *options, "busybox", "sh", "-c", script).stdout


def test_environment_and_workdir(wherryd: Wherryd) -> None:
    seen = shell(wherryd, "echo $A $HOME $PWD $PATH", "-e", "A=b c", "-w", "/some/where")
    assert seen == "b c /root /some/where /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"


@pytest.mark.parametrize(
    ("user", "seen"),
    [("", "0 0"), ("1000", "1000 0"), ("1000:50", "1000 50"), ("0:7", "0 7")],
)
def test_user(wherryd: Wherryd, user: str, seen: str) -> None:
    assert shell(wherryd, "echo $(id -u) $(id -g)", "-u", user) == seen + "\n"


@pytest.mark.parametrize("user", ["nosuch", "4294967296", "0:nosuch", "-1"])
def test_a_user_that_cannot_be_is_refused(wherryd: Wherryd, user: str) -> None:
    done = wherryd.docker("run", "--rm", "-u", user, "busybox", "id", check=False)
    assert done.returncode != 0
    assert "uid=0" not in done.stdout


def test_entrypoint(wherryd: Wherryd) -> None:
    done = wherryd.docker("run", "--rm", "--entrypoint", "echo", "busybox", "a", "b")
    assert done.stdout == "a b\n"


def test_hostname(wherryd: Wherryd) -> None:
    seen = shell(wherryd, "hostname; cat /etc/hostname; grep -c web /etc/hosts", "-h", "web")
    assert seen == "web\nweb\n1\n"


def test_added_hosts_and_dns(wherryd: Wherryd) -> None:
    seen = shell(
        wherryd,
        "cat /etc/hosts /etc/resolv.conf",
        "--add-host",
        "db:10.9.8.7",
        "--dns",
        "9.9.9.9",
        "--dns-search",
        "x.y",
    )
    assert "10.9.8.7\tdb\n" in seen
    assert "nameserver 9.9.9.9\n" in seen
    assert "search x.y\n" in seen


def test_capabilities(wherryd: Wherryd) -> None:
    script = "grep CapEff /proc/self/status | cut -f2"
    assert shell(wherryd, script) == "00000000a80425fb\n"
    assert shell(wherryd, script, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN") == "0000000000001000\n"
    assert int(shell(wherryd, script, "--privileged"), 16) & 1 << 21


def test_seccomp_and_privileges(wherryd: Wherryd) -> None:
    script = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | cut -f2 | tr '\\n' ' '"
    assert shell(wherryd, script) == "0 2 "
    assert shell(wherryd, script, "--security-opt", "no-new-privileges") == "1 2 "
    assert shell(wherryd, script, "--security-opt", "seccomp=unconfined") == "0 0 "


def test_masked_and_read_only_paths(wherryd: Wherryd) -> None:
    assert (
        shell(
            wherryd,
            "cat /proc/keys /proc/timer_list | wc -c; echo x > /proc/sys/kernel/domainname || echo ro",
        )
        == "0\nro\n"
    )


def test_read_only_root(wherryd: Wherryd) -> None:
    assert (
        shell(wherryd, "touch /x || echo ro; touch /tmp/x && echo rw", "--read-only", "--tmpfs", "/tmp")
        == "ro\nrw\n"
    )


def test_tmpfs(wherryd: Wherryd) -> None:
    seen = shell(wherryd, "grep ' /scratch ' /proc/mounts", "--tmpfs", "/scratch:size=1m,mode=1777")
    assert "tmpfs" in seen
    assert "size=1024k" in seen


def test_binds(wherryd: Wherryd, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given")
    seen = shell(wherryd, "cat /data/in; echo made > /data/out", "-v", f"{tmp_path}:/data")
    assert seen == "given"
    assert (tmp_path / "out").read_text() == "made\n"
    assert shell(wherryd, "touch /data/x || echo ro", "-v", f"{tmp_path}:/data:ro") == "ro\n"
    missing = tmp_path / "made" / "here"
    shell(wherryd, "true", "-v", f"{missing}:/data")
    assert missing.is_dir()


def test_a_bind_of_the_whole_host(wherryd: Wherryd) -> None:
    """It has the daemon's own directories in it; the host's root may be shared (systemd) or private."""
    seen = shell(wherryd, "cat /host/etc/hostname; touch /host/x || echo ro", "-v", "/:/host:ro")
    assert seen == Path("/etc/hostname").read_text() + "ro\n"


def test_a_bind_mount_of_what_is_not_there_is_refused(wherryd: Wherryd) -> None:
    done = wherryd.docker(
        "run", "--rm", "--mount", "type=bind,source=/nosuch,target=/x", "busybox", "true", check=False
    )
    assert done.returncode == 125
    assert 'invalid mount config for type "bind": bind source path does not exist: /nosuch' in done.stderr


def test_limits(wherryd: Wherryd) -> None:
    identifier = wherryd.docker(
        "run", "-d", "-m", "64m", "--pids-limit", "77", "--cpus", "0.5", "busybox", "sleep", "1000"
    ).stdout.strip()
    pid = int(wherryd.docker("inspect", "-f", "{{.State.Pid}}", identifier).stdout)
    limits = cgroup_limits(pid)
    wherryd.docker("rm", "-f", identifier)
    assert limits == [67108864, 77, 50000]


def cgroup_limits(pid: int) -> list[int]:
    """Bytes of memory, processes, and microseconds of CPU in 100,000, as the kernel has them."""
    groups = cgroups.paths(pid)
    if cgroups.detect().version == 2:
        unified = groups[cgroups.UNIFIED]
        files = [unified / "memory.max", unified / "pids.max", unified / "cpu.max"]
    else:
        files = [
            groups["memory"] / "memory.limit_in_bytes",
            groups["pids"] / "pids.max",
            groups["cpu"] / "cpu.cfs_quota_us",
        ]
    return [int(file.read_text().split()[0]) for file in files]


def test_ulimit_and_shm_size(wherryd: Wherryd) -> None:
    seen = shell(
        wherryd,
        "ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1 | awk '{print $2}'",
        "--ulimit",
        "nofile=123:456",
        "--shm-size",
        "8m",
    )
    assert seen.split() == ["123", "456", "8192"]


def test_init(wherryd: Wherryd) -> None:
    assert shell(wherryd, "cat /proc/1/comm", "--init").strip() == "docker-init"


def test_terminal(wherryd: Wherryd) -> None:
    assert (
        wherryd.docker("run", "--rm", "-t", "busybox", "sh", "-c", "test -t 1 && echo $TERM").stdout
        == "xterm\r\n"
    )


def test_out_of_memory(wherryd: Wherryd) -> None:
    identifier = wherryd.docker(
        "run", "-d", "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", "tail /dev/zero"
    ).stdout.strip()
    assert wherryd.docker("wait", identifier).stdout == "137\n"
    assert wherryd.docker("inspect", "-f", "{{.State.OOMKilled}}", identifier).stdout == "true\n"
    wherryd.docker("rm", identifier)


def first_process(wherryd: Wherryd, *command: str) -> list[str]:
    return wherryd.docker("run", "--rm", "busybox", *command).stdout.splitlines()


def test_nothing_of_the_daemon_is_inherited(wherryd: Wherryd) -> None:
    descriptors = first_process(wherryd, "ls", "/proc/self/fd")
    assert descriptors == ["0", "1", "2", "3"]  # the last is the one by which ls reads the directory
    masks = first_process(wherryd, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    assert masks == ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]
    assert {line.partition("=")[0] for line in first_process(wherryd, "env")} == {"PATH", "HOSTNAME", "HOME"}
