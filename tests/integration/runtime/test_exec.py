"""Further processes in a running container."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from errdefs import Conflict, InvalidArgument
from runtime.execs import ExecProcess
from runtime.task import Task
from runtime.task_values import Attach, ExecRequest
from tests.integration.runtime.bundles import new_id, process
from tests.integration.runtime.conftest import Containers, read_all, stdout_of

pytestmark = pytest.mark.root


@pytest.fixture
async def running(box: Containers) -> AsyncIterator[Task]:
    """A container that sleeps."""
    task = await box.create(["sleep", "300"])
    await task.start()
    yield task
    await box.end(task)


def request(
    args: list[str],
    *,
    terminal: bool = False,
    attach: Attach | None = None,
) -> ExecRequest:
    """Ask for a process, attached to its output by default."""
    attach = attach or Attach()
    return ExecRequest(
        id=new_id(),
        process=process(args, terminal=terminal),
        terminal=terminal,
        open_stdin=attach.stdin,
        attach=attach,
    )


async def finish(execution: ExecProcess) -> tuple[int, bytes]:
    """Read to the end, close, and return exit code and output."""
    assert execution.stream is not None
    output = await read_all(execution.stream)
    execution.stream.close()
    return (await execution.wait()).code, output


async def test_output_and_exit(running: Task) -> None:
    code, output = await finish(await running.exec(request(["sh", "-c", "echo out; echo err >&2; exit 3"])))
    assert (code, stdout_of(output), stdout_of(output, 2)) == (3, b"out\n", b"err\n")
    assert not [path.name for path in running.state_dir.iterdir() if path.name.startswith("exec-")]


async def test_output_is_not_in_the_log(box: Containers, running: Task) -> None:
    await finish(await running.exec(request(["echo", "secret"])))
    assert b"secret" not in box.log(running.id).read_bytes()


async def test_stdin_and_its_end(running: Task) -> None:
    execution = await running.exec(request(["cat"], attach=Attach(stdin=True)))
    assert execution.stream is not None
    await execution.stream.write(b"hello")
    await execution.stream.write_eof()
    assert stdout_of((await finish(execution))[1]) == b"hello"


async def test_a_lost_connection_ends_stdin(running: Task) -> None:
    """Nobody can attach to it again."""
    script = "sleep 1; test $(wc -c) = 450000"
    execution = await running.exec(request(["sh", "-c", script], attach=Attach(stdin=True)))
    assert execution.stream is not None
    await execution.stream.write(b"x" * 450_000)  # a pipe, what the shim queues, and some in the socket
    execution.stream.close()
    assert (await asyncio.wait_for(execution.wait(), 30)).code == 0


async def test_detached(running: Task) -> None:
    execution = await running.exec(ExecRequest(id=new_id(), process=process(["sh", "-c", "echo x; exit 9"])))
    assert execution.stream is None
    assert (await execution.wait()).code == 9


async def test_terminal_resize_and_kill(running: Task) -> None:
    execution = await running.exec(
        request(["sh", "-c", "read x; stty size; sleep 60"], terminal=True, attach=Attach(stdin=True))
    )
    assert execution.stream is not None
    await execution.resize(20, 30)
    await execution.stream.write(b"\n")
    output = b""
    while b"20 30" not in output:
        output += await execution.stream.read()
    await execution.kill(9)
    assert (await finish(execution))[0] == 137
    with pytest.raises(Conflict):
        await execution.resize(1, 1)
    await execution.kill(9)


@pytest.mark.parametrize(
    ("args", "cause"),
    [
        (["nosuch"], 'exec: "nosuch": executable file not found in $PATH'),
        (["/bin/noexec"], 'exec: "/bin/noexec": permission denied'),
    ],
)
async def test_command_that_cannot_run(running: Task, args: list[str], cause: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await running.exec(request(args))
    start = "OCI runtime exec failed: exec failed: unable to start container process: "
    assert caught.value.message == f"{start}{cause}: unknown"
    assert not [path.name for path in running.state_dir.iterdir() if path.name.startswith("exec-")]


async def test_container_that_does_not_run(box: Containers) -> None:
    task = await box.create(["true"])
    with pytest.raises(Conflict, match="created"):
        await task.exec(request(["true"]))
    await task.start()
    await task.gone()
    with pytest.raises(Conflict, match="not running"):
        await task.exec(request(["true"]))


async def test_many_at_once(running: Task) -> None:
    async def one(number: int) -> None:
        code, output = await finish(
            await running.exec(request(["sh", "-c", f"echo {number}; exit {number}"]))
        )
        assert (code, stdout_of(output)) == (number, b"%d\n" % number)

    await asyncio.gather(*(one(number) for number in range(8)))


async def test_background_child_holds_stdout(running: Task) -> None:
    """As in dockerd the exec is over two seconds after its process, whoever holds its output."""
    execution = await running.exec(request(["sh", "-c", "sleep 100 & echo up; exit 2"]))
    code, output = await asyncio.wait_for(finish(execution), 10)
    assert (code, stdout_of(output)) == (2, b"up\n")


@pytest.mark.parametrize("host_pid", [False, True])
async def test_ended_with_the_container(box: Containers, *, host_pid: bool) -> None:
    task = await box.create(["sleep", "300"], host_pid=host_pid)
    await task.start()
    execution = await task.exec(request(["sleep", "300"]))
    await box.end(task)
    assert (await asyncio.wait_for(finish(execution), 15))[0] == 137


async def test_client_that_leaves_does_not_end_it(running: Task) -> None:
    execution = await running.exec(request(["sh", "-c", "sleep 0.3; echo x; exit 4"]))
    assert execution.stream is not None
    execution.stream.close()
    assert (await execution.wait()).code == 4
