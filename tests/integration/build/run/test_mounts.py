"""RUN --mount: what the command sees there, what stays of it, and what does not."""

import asyncio
from pathlib import Path

import pytest

import errdefs
from engine.build import leftovers
from engine.build.refs import SCRATCH, Ref
from engine.build.run.failure import StepFailed
from engine.build.steps import RunMount
from tests.integration.build.run.steps import Client, Steps, until
from tests.roots import holding

pytestmark = pytest.mark.root


def mount(kind: str, target: str = "/m", **options: object) -> RunMount:
    return RunMount(kind=kind, target=target, **options)  # type: ignore[arg-type]


@pytest.fixture
def tree(steps_root: Path) -> Path:
    """A context: files, and links that lead out of it."""
    tree = steps_root / "context"
    (tree / "sub/deep").mkdir(parents=True)
    (tree / "sub/file").write_text("in sub")
    (tree / "top").write_text("on top")
    (tree / "out").symlink_to("/etc")
    (tree / "alias").symlink_to("sub")
    return tree


async def test_bind(steps: Steps, tree: Path) -> None:
    whole = mount("bind", source=1, read_only=True)
    said = await steps.tell("cat /m/top; touch /m/x || echo no", mounts=[whole], inputs=[None, tree])
    assert said == "on topno\n"
    part = mount("bind", "/deep/m", source=1, path="/alias/file", read_only=True)
    assert await steps.tell("cat /deep/m", mounts=[part], inputs=[None, tree]) == "in sub"


async def test_bind_does_not_lead_out(steps: Steps, tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/own").touch()
    outside = mount("bind", source=1, path="/out", read_only=True)
    assert await steps.tell("ls /m", mounts=[outside], inputs=[None, tree]) == "own\n"
    with pytest.raises(errdefs.NotFound, match='"/nosuch": not found'):
        await steps.run("true", mounts=[mount("bind", source=1, path="/nosuch")], inputs=[None, tree])


async def test_bind_of_another_stage_to_be_changed(steps: Steps, tree: Path) -> None:
    writable = mount("bind", source=1, path="/sub")
    command = "echo new > /m/file; rm -r /m/deep; touch /m/x; ls /m; cp /m/file /kept"
    layer = await steps.run(command, mounts=[writable], inputs=[None, tree])
    assert steps.text(1) == "file\nx\n"
    assert steps.names(layer) == ["kept"]
    assert (tree / "sub/file").read_text() == "in sub"
    assert sorted(path.name for path in (tree / "sub").iterdir()) == ["deep", "file"]
    async with steps.workspaces.view(steps.base) as stage:
        said = await steps.tell(
            "echo > /m/bin/new && ls /m/bin | wc -l", mounts=[mount("bind", source=1)], inputs=[None, stage]
        )
        assert int(said) > 100
        assert not (stage / "bin/new").exists()


async def test_bind_of_nothing_is_an_empty_directory(steps: Steps) -> None:
    assert await steps.tell("touch /m/x; ls -A /m", mounts=[mount("bind")]) == "x\n"


async def test_tmpfs(steps: Steps) -> None:
    sized = mount("tmpfs", size=1 << 20)
    said = await steps.tell(
        "df -k /m | tail -1; cp /bin/busybox /m/sh; head -c 2m /dev/zero > /m/x || echo full", mounts=[sized]
    )
    assert "1024" in said
    assert "full" in said


async def test_places_of_mounts_do_not_stay(steps: Steps) -> None:
    mounts = [mount("tmpfs", target) for target in ("/a/b/c", "/var/d", "/etc/e", "/kept/by", "rel")]
    layer = await steps.run("touch /kept/file", mounts=mounts, cwd="/home")
    assert steps.names(layer) == ["kept/", "kept/file"]


async def test_places_behind_links_do_not_stay(steps: Steps) -> None:
    linked = steps.base.on_top(
        await steps.layer(lambda root: (root / "link").symlink_to("var/tmp"), steps.base)
    )
    layer = await steps.run("touch /f", mounts=[mount("tmpfs", "/link/m")], root=linked)
    assert steps.names(layer) == ["f"]


async def test_secret_file(steps: Steps) -> None:
    client = Client({"key": b"s3cret\0\xff"})
    asked = mount("secret", "", id="key")
    layer = await steps.run(
        "cat /run/secrets/key; stat -c ' %u:%g %a' /run/secrets/key; touch /f", mounts=[asked], client=client
    )
    assert b"".join(data for _, data in steps.said) == b"s3cret\0\xff 0:0 400\n"
    assert steps.names(layer) == ["f"]
    owned = mount("secret", "/etc/k", id="key", uid=33, gid=50, mode=0o440)
    assert await steps.tell("stat -c '%u:%g %a' /etc/k", mounts=[owned], client=client) == "33:50 440\n"


async def test_secret_in_the_environment(steps: Steps) -> None:
    client = Client({"key": b"s3cret"})
    asked = mount("secret", "", id="key", env="TOKEN")
    assert (
        await steps.tell("echo $TOKEN; ls /run/secrets || true", mounts=[asked], client=client) == "s3cret\n"
    )
    assert await steps.tell("echo =$TOKEN=", mounts=[asked], client=Client()) == "==\n"


@pytest.mark.parametrize("client", [None, Client()])
async def test_secret_that_is_not_there(steps: Steps, client: Client | None) -> None:
    assert (
        await steps.tell("ls /run 2>&1 || true", mounts=[mount("secret", "", id="key")], client=client)
        == "ls: /run: No such file or directory\n"
    )
    with pytest.raises(errdefs.NotFound, match=r"^secret key: not found$"):
        await steps.run("true", mounts=[mount("secret", "", id="key", required=True)], client=client)


async def test_secret_is_nowhere_afterwards(steps: Steps) -> None:
    client = Client({"key": b"never-on-a-disk"})
    asked = [mount("secret", "", id="key"), mount("secret", "", id="key", env="TOKEN")]
    with pytest.raises(StepFailed) as caught:
        await steps.run("touch /f; exit 1", mounts=asked, client=client)
    assert "never-on-a-disk" not in caught.value.message
    assert not holding(steps.daemon.root, b"never-on-a-disk")


async def test_agent(steps: Steps) -> None:
    client = Client(agents=["default", "other"])
    asked = [mount("ssh", ""), mount("ssh", "/agent", id="other", uid=33, mode=0o666)]
    facts = "stat -c '%F %u %a' /run/buildkit/ssh_agent.0 /agent"
    step = steps.begin(f"echo $SSH_AUTH_SOCK; {facts}; sleep 1000", mounts=asked, client=client)
    await until(lambda: steps.text(1) == "/run/buildkit/ssh_agent.0\nsocket 0 600\nsocket 33 666\n")
    assert await asyncio.gather(*(ask(path) for path in agents(steps))) == [b"default:HELLO", b"other:HELLO"]
    reader, writer = await asyncio.open_unix_connection(agents(steps)[0])
    step.cancel()
    await asyncio.wait([step])
    assert await reader.read() == b""
    writer.close()


def agents(steps: Steps) -> list[Path]:
    return sorted(steps.daemon.exec_root.glob("build/*/agent.*"))


async def ask(path: Path) -> bytes:
    """What an agent answers; both ends close."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"hello")
    answer = await reader.readuntil(b"HELLO")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    return answer


async def test_agent_that_is_not_there(steps: Steps) -> None:
    assert (
        await steps.tell("ls /agent 2>&1 || true", mounts=[mount("ssh", "/agent")])
        == "ls: /agent: No such file or directory\n"
    )
    required = [mount("ssh", "", id="k", required=True)]
    with pytest.raises(errdefs.NotFound, match=r'^no SSH key "k" forwarded from the client$'):
        await steps.run("true", mounts=required)
    with pytest.raises(errdefs.NotFound, match=r"^unset ssh forward key k$"):
        await steps.run("true", mounts=required, client=Client())


async def test_cache_is_kept(steps: Steps) -> None:
    cache = mount("cache", "/c")
    layer = await steps.run("echo 1 >> /c/f; touch /x", mounts=[cache])
    assert steps.names(layer) == ["x"]
    assert await steps.tell("echo 2 >> /c/f; cat /c/f", mounts=[cache]) == "1\n2\n"
    assert await steps.tell("ls -A /d", mounts=[mount("cache", "/d")]) == ""
    assert await steps.tell("cat /d/f", mounts=[mount("cache", "/d", id="/c")]) == "1\n2\n"
    record = next(record for record in steps.cache.all() if '"//c"' in record.description)
    await until(lambda: (steps.cache.get(record.id) or record).size == 4)
    assert record.description.startswith("cached mount /c from exec /bin/sh -c echo 1")


async def test_cache_of_a_user(steps: Steps) -> None:
    cache = mount("cache", "/c", uid=33, gid=50, mode=0o750)
    assert await steps.tell("stat -c '%u:%g %a' /c", mounts=[cache]) == "33:50 750\n"
    assert await steps.tell("stat -c '%u:%g %a' /c", mounts=[mount("cache", "/c")]) == "0:0 755\n"


async def test_cache_begins_with_content(steps: Steps, tree: Path) -> None:
    cache = mount("cache", "/c", source=1, path="/sub")
    given = {"mounts": [cache], "inputs": [None, tree], "names": ["", "one"]}
    assert await steps.tell("ls /c; rm /c/file", **given) == "deep\nfile\n"
    assert await steps.tell("ls /c", **given) == "deep\n"
    assert await steps.tell("ls /c", **{**given, "names": ["", "two"]}) == "deep\nfile\n"


async def test_cache_is_shared(steps: Steps) -> None:
    cache = mount("cache", "/c")
    wait = "touch /c/$0; until [ -e /c/a ] && [ -e /c/b ]; do sleep 0.05; done"
    async with asyncio.timeout(20):
        await asyncio.gather(*(steps.run(["/bin/sh", "-c", wait, name], mounts=[cache]) for name in "ab"))
    assert len(steps.cache.all()) == 1


async def test_private_cache_is_no_others(steps: Steps) -> None:
    cache = mount("cache", "/c", sharing="private")
    first = steps.begin("touch /c/first; echo on; sleep 1000", mounts=[cache])
    await until(lambda: steps.text(1) == "on\n")
    assert await steps.tell("ls -A /c", mounts=[cache]) == ""
    assert len(steps.cache.all()) == 2
    first.cancel()
    await asyncio.wait([first])


async def test_locked_cache_is_waited_for(steps: Steps) -> None:
    cache = mount("cache", "/c", sharing="locked")
    first = steps.begin("echo on; sleep 1; echo done > /c/f", mounts=[cache])
    await until(lambda: steps.text(1) == "on\n")
    assert await steps.tell("cat /c/f", mounts=[cache]) == "done\n"
    await first
    assert len(steps.cache.all()) == 1


async def test_cache_that_is_pruned_while_it_is_used(steps: Steps) -> None:
    cache = mount("cache", "/c")
    go_on = "until [ -e /c/go ]; do sleep 0.05; done; rm /c/go"
    step = steps.begin(f"touch /c/old; echo on; {go_on}; ls /c", mounts=[cache])
    await until(lambda: steps.text(1) == "on\n")
    (record,) = steps.cache.all()
    await steps.cache.remove([record.id])
    assert await steps.tell("ls /c; touch /c/new", mounts=[mount("cache", "/c", sharing="private")]) == ""
    directory = steps.daemon.data_root / "build/steps"
    (directory / record.directory / "go").touch()
    await step
    assert steps.text(1) == "old\n"
    await until(lambda: len(list(directory.iterdir())) == 1)
    assert await steps.tell("ls /c", mounts=[cache]) == "new\n"


async def test_cache_without_record_goes_at_boot(steps: Steps) -> None:
    await steps.run("touch /c/f", mounts=[mount("cache", "/c")])
    directory = steps.daemon.data_root / "build/steps"
    (directory / "stray/sub").mkdir(parents=True)
    await leftovers.sweep_caches(steps.cache, directory)
    assert [path.name for path in directory.iterdir()] == [record.directory for record in steps.cache.all()]


async def test_scratch_with_a_static_program(steps: Steps) -> None:
    made = await steps.layer(lambda root: (root / "bin").mkdir(), SCRATCH)
    async with steps.workspaces.view(steps.base) as stage:
        program = mount("bind", "/bin", source=1, path="/bin", read_only=True)
        layer = await steps.run("echo x > /f", root=Ref((made,)), mounts=[program], inputs=[None, stage])
    assert set(steps.names(layer)) == {"dev/", "f", "proc/", "sys/"}
