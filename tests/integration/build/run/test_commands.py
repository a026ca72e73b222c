"""What a command of RUN is given, and what becomes of it."""

import asyncio
import glob
import time
from pathlib import Path

import pytest

import errdefs
from engine.build.refs import SCRATCH
from engine.build.run.failure import StepFailed
from engine.build.steps import Limits
from engine.containers.config import Ulimit
from runtime import cgroups
from tests.integration.build.run.steps import Steps, until

pytestmark = pytest.mark.root


async def test_output_comes_as_it_is_written(steps: Steps) -> None:
    running = steps.begin(r"printf 'one\r'; echo two >&2; sleep 1000")
    await until(lambda: steps.text(1) == "one\r" and steps.text(2) == "two\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_much_output_is_whole(steps: Steps) -> None:
    said = await steps.tell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
    assert said == "".join(f"line {i}\n" for i in range(20000))


async def test_layer_has_what_changed_and_nothing_else(steps: Steps) -> None:
    await steps.run("true", cwd="/")
    layer = await steps.run("echo x > /made; rm /etc/nsswitch.conf; mkdir /d; chmod 700 /d")
    assert layer is not None
    assert steps.names(layer) == ["d/", "etc/", "etc/.wh.nsswitch.conf", "made"]
    assert steps.read(layer, "made") == b"x\n"


async def test_no_change_is_no_layer(steps: Steps) -> None:
    assert await steps.run("true") is None


async def test_same_change_is_same_layer(steps: Steps) -> None:
    command = "echo x > /made; touch -d @1 /made /etc"
    first, second = await steps.run(command), await steps.run(command)
    assert first == second


@pytest.mark.parametrize(
    ("command", "code"), [("exit 3", 3), ("sh -c 'kill -9 $$'; exit $?", 137), ("nosuch", 127)]
)
async def test_failure_has_exit_code_and_text(steps: Steps, command: str, code: int) -> None:
    with pytest.raises(StepFailed) as caught:
        await steps.run(command)
    assert caught.value.code == code
    text = f'process "/bin/sh -c {command}" did not complete successfully: exit code: {code}'
    assert caught.value.message == text


async def test_program_that_is_not_there(steps: Steps) -> None:
    with pytest.raises(StepFailed) as caught:
        await steps.run(["/bin/nosuch", 'a "b"\n'])
    assert (
        caught.value.message == r'process "/bin/nosuch a \"b\"\n" did not complete successfully: exit code: 1'
    )
    assert 'exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory' in steps.text(2)


async def test_scratch_has_no_shell(steps: Steps) -> None:
    with pytest.raises(StepFailed):
        await steps.run("true", root=SCRATCH)


async def test_out_of_memory(steps: Steps) -> None:
    with pytest.raises(StepFailed) as caught:
        await steps.run("head -c 100m /dev/zero | tail", limits=Limits(memory=32 << 20, memory_swap=32 << 20))
    assert caught.value.message.endswith(": cannot allocate memory")


async def test_limits(steps: Steps) -> None:
    limits = Limits(shm_size=16 << 20, ulimits=[Ulimit(name="nofile", soft=77, hard=78)])
    said = await steps.tell("ulimit -n; df -k /dev/shm | tail -1", limits=limits)
    assert said.split()[0] == "77"
    assert "16384" in said


async def test_control_group(steps: Steps) -> None:
    limits = Limits(
        cgroup_parent="/wherry-test", memory=64 << 20, cpu_quota=50_000, cpu_period=100_000, cpu_shares=77
    )
    wanted = {"memory.limit_in_bytes": "67108864", "cpu.cfs_quota_us": "50000", "cpu.shares": "77"}
    if cgroups.detect().version == 2:
        wanted = {"memory.max": "67108864", "cpu.max": "50000 100000"}
    step = steps.begin("cat /proc/self/cgroup; sleep 1000", limits=limits)
    try:
        await until(lambda: "/wherry-test/" in steps.text(1))
        for name, value in wanted.items():
            (found,) = groups(f"wherry-test/*/{name}")
            assert found.read_text().strip() == value
    finally:
        step.cancel()
        await asyncio.wait([step])
        await until(lambda: not groups("wherry-test/*/"))
        for directory in groups("wherry-test"):
            directory.rmdir()


def groups(pattern: str) -> list[Path]:
    """What is there of control groups, in all hierarchies."""
    # Others' come and go meanwhile: pathlib would raise.
    return [Path(found) for found in glob.glob(f"/sys/fs/cgroup/**/{pattern}", recursive=True)]


async def test_user_with_groups(steps: Steps) -> None:
    assert await steps.tell("id -u; id -G; echo $HOME", user="daemon") == "1\n1 50\n/usr/sbin\n"
    assert await steps.tell("id -u; id -G", user="33:50") == "33\n50\n"
    with pytest.raises(errdefs.InvalidArgument) as caught:
        await steps.run("id", user="nosuch")
    assert caught.value.message == (
        'process "/bin/sh -c id" did not complete successfully: '
        "unable to find user nosuch: no matching entries in passwd file"
    )


async def test_environment(steps: Steps) -> None:
    said = await steps.tell(
        "env | grep -v SHLVL | sort", env=["B=1", "A=x y"], proxy={"http_proxy": "http://p:1"}
    )
    assert said.splitlines() == [
        "A=x y",
        "B=1",
        "HOME=/root",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PWD=/",
        "http_proxy=http://p:1",
    ]


async def test_working_directory_is_made(steps: Steps) -> None:
    layer = await steps.run("pwd; stat -c %u:%a .", cwd="/new/place", user="33:33")
    assert steps.text(1) == "/new/place\n33:755\n"
    assert {"new/", "new/place/"} <= set(steps.names(layer))


async def test_hostname_and_hosts(steps: Steps) -> None:
    assert await steps.tell("hostname") == "buildkitsandbox\n"
    said = await steps.tell("hostname; cat /etc/hosts", hostname="me", extra_hosts=["a=10.0.0.1", "b:[::2]"])
    assert (
        said
        == "me\n127.0.0.1\tlocalhost me\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\ta\n::2\tb\n"
    )


async def test_own_files_stay_out_of_the_layer(steps: Steps) -> None:
    layer = await steps.run("cat /etc/resolv.conf; echo x >> /etc/hosts || echo read-only; touch /f")
    assert "nameserver" in steps.text(1)
    assert "read-only" in steps.text(1)
    assert steps.names(layer) == ["f"]


async def test_networks(steps: Steps) -> None:
    interfaces = "ls /sys/class/net"
    assert (await steps.tell(interfaces)).split() == ["eth0", "lo"]
    assert (await steps.tell(interfaces, network="none")).split() == ["lo"]
    assert steps.daemon.bridge in await steps.tell(interfaces, network="host")
    with pytest.raises(errdefs.NotFound):
        await steps.run("true", network="nosuch")


async def test_sandbox_and_insecure(steps: Steps) -> None:
    status = "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs none /mnt && echo mounted; ls /sys/firmware"
    with pytest.raises(StepFailed):
        await steps.run(f"mkdir /mnt; {status}; mount -t tmpfs none /mnt")
    assert "CapEff:\t00000000a80425fb" in steps.text(1)
    assert "Seccomp:\t2" in steps.text(1)
    said = await steps.tell(f"mkdir /mnt; {status}", security="insecure")
    assert "Seccomp:\t0" in said
    assert "mounted" in said


async def test_cancelled_step_is_killed_at_once(steps: Steps) -> None:
    running = steps.begin("trap '' TERM INT; echo on; sleep 1000 & wait; wait")
    await until(lambda: steps.text(1) == "on\n")
    before = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - before < 8  # who may end by itself first has ten seconds
    await until(lambda: not steps.left())


async def test_cancelled_anywhere_leaves_nothing(steps: Steps) -> None:
    for delay in range(0, 60, 4):
        running = steps.begin("touch /f")
        await asyncio.sleep(delay / 1000)
        running.cancel()
        await asyncio.wait([running])
    await until(lambda: not steps.left())


async def test_many_at_once(steps: Steps) -> None:
    layers = await asyncio.gather(*(steps.run(f"echo {number} > /f") for number in range(8)))
    assert len({layer.chain_id for layer in layers if layer}) == 8
