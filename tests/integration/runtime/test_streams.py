"""Attached clients and terminals: nothing lost, nothing held up that should not be."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from errdefs import Conflict, SystemFailure
from runtime.task_values import Attach
from tests.integration.runtime.conftest import Containers, read_all, stdout_of
from tests.waiting import eventually

pytestmark = pytest.mark.root

MEGABYTE = 1 << 20


async def test_two_clients_and_chosen_streams(box: Containers) -> None:
    task = await box.create(["sh", "-c", "echo out; echo err >&2"])
    both = await task.attach(Attach())
    errors = await task.attach(Attach(stdout=False))
    await task.start()
    all_, only = await asyncio.gather(read_all(both), read_all(errors))
    assert (stdout_of(all_), stdout_of(all_, 2)) == (b"out\n", b"err\n")
    assert only == b"\2\0\0\0\0\0\0\4err\n"
    both.close()
    errors.close()
    await task.gone()


async def test_attach_after_the_end(box: Containers) -> None:
    task = await box.create(["true"])
    await task.start()
    await task.gone()
    with pytest.raises(SystemFailure, match="it has ended"):
        await task.attach(Attach())


async def test_end_of_stdin_with_stdin_once(box: Containers) -> None:
    task = await box.create(["sh", "-c", "cat; echo late"], open_stdin=True, stdin_once=True)
    stream = await task.attach(Attach(stdin=True))
    await task.start()
    await stream.write(b"early ")
    await stream.write_eof()
    assert stdout_of(await read_all(stream)) == b"early late\n"
    stream.close()
    await task.gone()


async def test_end_of_stdin_without_stdin_once(box: Containers) -> None:
    task = await box.create(["head", "-n", "2"], open_stdin=True)
    await task.start()
    for line in (b"one\n", b"two\n"):
        stream = await task.attach(Attach(stdin=True))
        await stream.write(line)
        await stream.write_eof()
        stream.close()
    assert (await task.wait()).code == 0
    await task.gone()
    assert box.log(task.id).read_bytes().count(b'"log":"') == 2


async def test_lost_connection_is_no_end_of_stdin(box: Containers) -> None:
    """A daemon that dies must not end the container that one of its clients was writing to."""
    task = await box.create(["cat"], open_stdin=True, stdin_once=True)
    await task.start()
    stream = await task.attach(Attach(stdin=True))
    await stream.write(b"first ")
    stream.close()
    again = await task.attach(Attach(stdin=True))
    await again.write(b"second")
    await again.write_eof()
    assert stdout_of(await read_all(again)).endswith(b"second")
    again.close()
    await task.gone()
    assert "first second" in box.log(task.id).read_text()


async def test_everything_sent_before_a_close_arrives(box: Containers) -> None:
    task = await box.create(["sh", "-c", "sleep 0.5; wc -c"], open_stdin=True, stdin_once=True)
    await task.start()
    stream = await task.attach(Attach(stdin=True, stdout=False, stderr=False))
    await stream.write(b"x" * 300_000)
    await stream.write_eof()
    stream.close()
    await task.gone()
    assert '"log":"300000\\n"' in box.log(task.id).read_text()


async def test_twenty_megabytes_through_stdin(box: Containers) -> None:
    task = await box.create(["cat"], open_stdin=True, stdin_once=True, log=None)
    stream = await task.attach(Attach(stdin=True))
    await task.start()
    data = os.urandom(MEGABYTE)

    async def feed() -> None:
        for _ in range(20):
            await stream.write(data)
        await stream.write_eof()

    _, output = await asyncio.gather(feed(), read_all(stream))
    assert stdout_of(output) == data * 20
    stream.close()
    await task.gone()


async def test_stdin_nobody_reads_is_bounded(box: Containers) -> None:
    task = await box.create(["sleep", "60"], open_stdin=True)
    await task.start()
    stream = await task.attach(Attach(stdin=True))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.write(b"x" * 8 * MEGABYTE), 1)
    rss = _rss(task.shim_pid)
    assert rss < 40_000, f"the shim has {rss} kB"
    stream.close()
    await box.end(task)


async def test_a_client_that_goes_while_its_stdin_waits(box: Containers) -> None:
    task = await box.create(["sleep", "60"], open_stdin=True)
    await task.start()
    before = _descriptors(task.shim_pid)
    for _ in range(60):
        stream = await task.attach(Attach(stdin=True))
        with suppress(TimeoutError):
            await asyncio.wait_for(stream.write(b"x" * 8 * MEGABYTE), 0.05)
        stream.close()
    await asyncio.to_thread(eventually, lambda: _descriptors(task.shim_pid) <= before)
    rss = _rss(task.shim_pid)
    assert rss < 40_000, f"the shim has {rss} kB"
    await box.end(task)


async def test_the_end_of_stdin_that_waits_when_its_client_goes(box: Containers) -> None:
    task = await box.create(["sh", "-c", "sleep 1; wc -c"], open_stdin=True, stdin_once=True)
    await task.start()
    stream = await task.attach(Attach(stdin=True))
    await stream.write(b"x" * 450_000)  # a pipe, what the shim queues, and some in the socket
    await stream.write_eof()
    stream.close()
    await task.gone()
    assert '"log":"450000\\n"' in box.log(task.id).read_text()


async def test_slow_client_halts_its_own_container_and_loses_nothing(box: Containers) -> None:
    loud = await box.create(["sh", "-c", "yes 0123456789 | head -c 20000000; echo done >&2"], log=None)
    slow = await loud.attach(Attach())
    await loud.start()
    await asyncio.sleep(0.7)
    assert _rss(loud.shim_pid) < 40_000
    exit_, output = await box.run(["echo", "other"])
    assert (exit_.code, stdout_of(output)) == (0, b"other\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loud.wait(), 0.2)
    data = await read_all(slow)
    assert len(stdout_of(data)) == 20_000_000
    assert stdout_of(data, 2) == b"done\n"
    slow.close()
    await loud.gone()


async def test_slow_client_of_an_ended_container(box: Containers) -> None:
    """The container is gone although a client has not read; the client still gets all."""
    task = await box.create(["sh", "-c", "head -c 900000 /dev/zero"], log=None)
    slow = await task.attach(Attach())
    await task.start()
    assert (await task.wait()).code == 0
    await task.gone()
    assert len(stdout_of(await read_all(slow))) == 900_000
    slow.close()


async def test_dead_client_is_let_go(box: Containers) -> None:
    task = await box.create(["sh", "-c", "yes 0123456789 | head -c 20000000"], log=None)
    slow = await task.attach(Attach())
    await task.start()
    await asyncio.sleep(0.3)
    slow.close()
    assert (await asyncio.wait_for(task.wait(), 30)).code == 0
    await task.gone()


async def test_close_wakes_the_reader(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    await task.start()
    stream = await task.attach(Attach())
    reading = asyncio.get_running_loop().create_task(stream.read())
    await asyncio.sleep(0.05)
    stream.close()
    assert await asyncio.wait_for(reading, 5) == b""
    assert await stream.read() == b""
    await stream.write(b"x")  # dropped
    await box.end(task)


async def test_closed_stdout_and_still_running(box: Containers) -> None:
    task = await box.create(["sh", "-c", "exec >&- 2>&-; read x; exit 5"], open_stdin=True)
    await task.start()
    await asyncio.to_thread(eventually, lambda: not os.path.lexists(f"/proc/{task.pid}/fd/1"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task.wait(), 0.2)
    stream = await task.attach(Attach(stdin=True))
    await stream.write(b"\n")
    assert (await task.wait()).code == 5
    stream.close()
    await task.gone()


@pytest.mark.parametrize("host_pid", [False, True])
async def test_background_child_holds_stdout(box: Containers, *, host_pid: bool) -> None:
    """With the host's pid namespace it outlives init, until the container is deleted."""
    exit_, output = await asyncio.wait_for(
        box.run(["sh", "-c", "sleep 300 & echo up; exit 6"], host_pid=host_pid), 20
    )
    assert (exit_.code, stdout_of(output)) == (6, b"up\n")


async def test_terminal(box: Containers) -> None:
    task = await box.create(
        ["sh", "-c", "stty size; read line; echo got $line; stty size; cat; exit 8"],
        terminal=True,
        open_stdin=True,
        console_size=(33, 101),
    )
    stream = await task.attach(Attach(stdin=True))
    await task.start()
    output = b""
    while b"\n" not in output:
        output += await stream.read()
    assert output == b"33 101\r\n"
    await task.resize(44, 55)
    await stream.write(b"hello\n\x04")
    output += await read_all(stream)
    assert b"got hello\r\n44 55\r\n" in output
    assert (await task.wait()).code == 8
    stream.close()
    await task.gone()
    assert "33 101\\r\\n" in box.log(task.id).read_text()


async def test_terminal_gives_all_its_output(box: Containers) -> None:
    exit_, output = await box.run(["seq", "1", "20000"], terminal=True)
    assert exit_.code == 0
    assert output.split() == [b"%d" % number for number in range(1, 20001)]


async def test_resize_without_terminal(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    await task.start()
    with pytest.raises(Conflict, match="cannot resize"):
        await task.resize(1, 1)
    await box.end(task)
    with pytest.raises(Conflict, match="not running"):
        await task.resize(1, 1)


def _rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
