"""What the classic API says of a build, from what happens to what is said."""

import asyncio
from collections.abc import Sequence

import pytest

from engine.build.plan.plan import Entry, Step
from engine.build.progress import Log, Status, VertexState
from engine.build.source import Position, SourceFile
from engine.build.steps import Copy, Files, MakeDirectory, Run, Vertex
from engine.build.telling import Telling
from engine.progress import Message

AT = Position(1, 1)
RUN = Vertex(name="run", operation=Run(args=["x"], env=[], cwd="/", user=""))
COPY = Vertex(
    name="copy", operation=Files(actions=[Copy(source=1, sources=["a"], destination="/b")]), inputs=[RUN]
)
WORKDIR = Vertex(name="workdir", operation=Files(actions=[MakeDirectory(path="/w")]), inputs=[RUN])


class Known:
    """Names vertices by their names, and images by what steps say."""

    def __init__(self, *done: str) -> None:
        self._done = done

    def digest(self, vertex: Vertex, /) -> str:
        return vertex.name

    def image(self, step: Step, /) -> str:
        return "sha256:" + step.text.replace(" ", "").lower().ljust(12, "0")

    def was_done(self, step: Step, /) -> bool:
        return step.text in self._done


class Said:
    """A client that notes all."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, *messages: Message) -> None:
        self.messages.extend(messages)

    @property
    def text(self) -> str:
        return "".join(message.stream for message in self.messages)


def steps(*made: tuple[str, Vertex | None]) -> list[Step]:
    """A stage: FROM, and instructions with their vertices."""
    found = [Step(text="FROM base", position=AT, stage=0)]
    entries: list[Entry] = []
    root: Vertex | None = None
    for text, vertex in made:
        entries.append(Entry(created_by=text, vertex=vertex))
        root = vertex or root
        found.append(Step(text=text, position=AT, stage=0, root=root, entries=tuple(entries)))
    return found


def telling(said: Said, *, remove: bool = True, force: bool = False, names: bool = False) -> Telling:
    return Telling(said, remove=remove, force=force, names_images=names)


async def happens(
    told: Telling, vertex: Vertex, *output: bytes, cached: bool = False, error: str = ""
) -> None:
    """A step from its begin to its end."""
    await told.watch(VertexState(digest=vertex.name, name="", started=1))
    if not cached:
        await told.watch(VertexState(digest=vertex.name, name="", started=1, working=True))
    for data in output:
        await told.watch(Log(vertex=vertex.name, data=data))
    await told.watch(
        VertexState(digest=vertex.name, name="", started=1, completed=2, cached=cached, error=error)
    )


def lines(said: Said) -> list[str]:
    """What was said, but for the ids of containers."""
    return [
        line.rsplit(" ", 1)[0] if "Running in" in line or "container" in line else line
        for line in said.text.splitlines()
    ]


async def tell(told: Telling, known: Known, asked: Sequence[Step]) -> None:
    """All of it, with what waits for the build's end."""
    await told.tell(known, asked)
    await told.pass_on()


async def test_a_build() -> None:
    said = Said()
    told = telling(said)
    await happens(told, RUN, b"out\n")
    await happens(told, COPY)
    await tell(told, Known(), steps(("RUN x", RUN), ("COPY a b", COPY), ("CMD c", None)))
    assert lines(said) == [
        *("Step 1/4 : FROM base", " ---> frombase0000"),
        *(
            "Step 2/4 : RUN x",
            " ---> Running in",
            "out",
            " ---> Removed intermediate container",
            " ---> runx00000000",
        ),
        *("Step 3/4 : COPY a b", " ---> copyab000000"),
        *(
            "Step 4/4 : CMD c",
            " ---> Running in",
            " ---> Removed intermediate container",
            " ---> cmdc00000000",
        ),
    ]


async def test_a_cached_build() -> None:
    said = Said()
    told = telling(said, names=True)
    await happens(told, RUN, cached=True)
    await tell(told, Known("ENV a"), steps(("ENV a", None), ("RUN x", RUN)))
    assert said.text.count(" ---> Using cache\n") == 2
    assert said.messages[-1].aux == {"ID": "sha256:runx00000000"}


async def test_nothing_is_cached_behind_what_was_not() -> None:
    said = Said()
    told = telling(said)
    await happens(told, RUN)
    await tell(told, Known("ENV a"), steps(("RUN x", RUN), ("ENV a", None)))
    assert "Using cache" not in said.text


async def test_the_order_of_the_dockerfile() -> None:
    said = Said()
    told = telling(said)
    await happens(told, COPY)
    await told.watch(Log(vertex="run", data=b"late\n"))
    going = asyncio.get_running_loop().create_task(
        tell(told, Known(), steps(("RUN x", RUN), ("COPY a b", COPY)))
    )
    await asyncio.sleep(0)
    await happens(told, RUN, b"later\n")
    await going
    assert [line for line in lines(said) if not line.startswith(" ")] == [
        *("Step 1/3 : FROM base", "Step 2/3 : RUN x", "late", "later", "Step 3/3 : COPY a b")
    ]


@pytest.mark.parametrize(
    ("remove", "force", "told_of"), [(True, False, False), (False, True, True), (False, False, False)]
)
async def test_a_failed_step_is_the_last(remove: bool, force: bool, told_of: bool) -> None:
    said = Said()
    told = telling(said, remove=remove, force=force)
    await happens(told, RUN, b"why\n", error="it failed")
    await told.over("run")
    await tell(told, Known(), steps(("RUN x", RUN), ("COPY a b", COPY)))
    assert "why\n" in said.text
    assert "COPY" not in said.text
    assert ("Removed" in said.text) == told_of


async def test_steps_that_were_given_up_for_the_one_that_failed() -> None:
    said = Said()
    told = telling(said)
    await told.watch(VertexState(digest="run", name="", started=1, working=True))
    await happens(told, COPY, error="it failed")
    await told.over("copy")
    await tell(told, Known(), steps(("RUN x", RUN), ("COPY a b", COPY), ("CMD c", None)))
    assert lines(said)[-1] == "Step 3/4 : COPY a b"


async def test_errors_are_red_and_texts_whole() -> None:
    said = Said()
    told = telling(said)
    euro = "€".encode()
    await told.watch(VertexState(digest="run", name="", started=1, working=True))
    await told.watch(Log(vertex="run", data=b"bad", stream=2))
    await told.watch(Log(vertex="run", data=euro[:1]))
    await told.watch(Log(vertex="run", data=euro[1:]))
    await told.watch(VertexState(digest="run", name="", started=1, completed=2))
    await tell(told, Known(), steps(("RUN x", RUN)))
    assert "\x1b[91mbad\x1b[0m€" in said.text


async def test_workdir_has_a_container_and_copy_has_none() -> None:
    said = Said()
    told = telling(said)
    await happens(told, WORKDIR)
    await tell(told, Known(), steps(("WORKDIR /w", WORKDIR)))
    assert "Running in" in said.text


async def test_a_step_whose_turn_has_not_come_waits_with_its_output() -> None:
    said = Said()
    told = telling(said)
    await told.watch(VertexState(digest="copy", name="", started=1, working=True))
    sent = 0

    async def write() -> None:
        nonlocal sent
        for _ in range(100):
            await told.watch(Log(vertex="copy", data=b"x" * 16384))
            sent += 1

    writing = asyncio.get_running_loop().create_task(write())
    await asyncio.sleep(0.05)
    assert 0 < sent < 100
    going = asyncio.get_running_loop().create_task(
        tell(told, Known(), steps(("RUN x", RUN), ("COPY a b", COPY)))
    )
    await happens(told, RUN)
    await writing
    await told.watch(VertexState(digest="copy", name="", started=1, completed=2))
    await going
    assert said.text.count("x" * 16384) == 100


async def test_pulls_are_told_before_all_steps() -> None:
    said = Said()
    told = telling(said)
    await told.watch(Status(vertex="v", id="Pulling from x", name="Pulling from x"))
    await told.watch(Status(vertex="v", id="abc", name="Downloading", current=1, total=2))
    await told.watch(Status(vertex="v", id="abc", name="Pull complete"))
    await tell(told, Known(), steps())
    assert [(each.id, each.status) for each in said.messages[:3]] == [
        *(("", "Pulling from x"), ("abc", "Downloading"), ("abc", "Pull complete"))
    ]


async def test_which_from_cannot_be_had() -> None:
    said = Said()
    source = SourceFile("Dockerfile", b"ARG A\nFROM a\nRUN x\nFROM b\n")
    await telling(said).tell_first(source, Position(4, 4))
    assert said.text == "Step 4/4 : FROM b\n"


async def test_triggers_and_arguments_before_all_stages() -> None:
    said = Said()
    told = telling(said)
    await happens(told, RUN, b"trig\n")
    entries = (Entry(created_by="RUN", vertex=RUN), Entry(created_by="ENV"))
    made: Sequence[Step] = [
        Step(text="ARG A", position=AT, stage=-1),
        Step(text="FROM on", position=AT, stage=0, root=RUN, entries=entries, triggers=("RUN x", "ENV a")),
    ]
    await tell(told, Known(), made)
    assert lines(said) == [
        *(
            "Step 1/2 : ARG A",
            "Step 2/2 : FROM on",
            "# Executing 2 build triggers",
            " ---> Running in",
            "trig",
        ),
        *(" ---> Removed intermediate container", " ---> Running in", " ---> Removed intermediate container"),
        " ---> fromon000000",
    ]
