"""Cache keys: what makes two steps the same, and what must not."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.build.refs import SCRATCH, Layer, Ref, Tree
from engine.build.solver import keys
from engine.build.steps import Copy, Files, Limits, MakeDirectory, MakeFile, Run, RunMount, Vertex

RUN = Run(args=["make"], env=["A=1"], cwd="/", user="")
COPY = Files(actions=[Copy(source=1, sources=["a"], destination="/")])


def ref(name: str) -> Ref:
    return Ref((Layer(diff_id=name, chain_id=f"chain-{name}", blob=name, size=1),))


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, args=["make", ""]),
        replace(RUN, env=["A=2"]),
        replace(RUN, env=[]),
        replace(RUN, cwd="/a"),
        replace(RUN, user="1"),
        replace(RUN, network="none"),
        replace(RUN, security="insecure"),
        replace(RUN, extra_hosts=["a:1"]),
        replace(RUN, hostname="h"),
        replace(RUN, platform="linux/arm64"),
        replace(RUN, mounts=[RunMount(kind="tmpfs", target="/t")]),
    ],
)
def test_another_command_is_another_step(other: Run) -> None:
    assert keys.key_of(other, SCRATCH, []) != keys.key_of(RUN, SCRATCH, [])


def test_limits_and_proxies_do_not_matter() -> None:
    other = replace(RUN, limits=Limits(memory=1), proxy={"http_proxy": "x"})
    assert keys.key_of(other, ref("a"), ["x"]) == keys.key_of(RUN, ref("a"), ["x"])


def test_the_root_and_the_content_matter() -> None:
    found = {
        keys.key_of(COPY, root, content)
        for root in (SCRATCH, ref("a"), ref("b"))
        for content in (["1"], ["2"], [])
    }
    assert len(found) == 9


def test_a_link_has_nothing_to_do_with_its_root() -> None:
    linked = replace(COPY, link=True)
    assert keys.key_of(linked, ref("a"), ["1"]) == keys.key_of(linked, ref("b"), ["1"])
    assert keys.key_of(linked, ref("a"), ["1"]) != keys.key_of(COPY, ref("a"), ["1"])


def test_the_content_of_a_heredoc_matters() -> None:
    one, two = (
        Files(actions=[MakeFile(destination="/", name="x", content=content)]) for content in (b"1", b"2")
    )
    assert keys.key_of(one, SCRATCH, []) != keys.key_of(two, SCRATCH, [])


def test_what_is_known_of_the_files_of_layers_is_known_by_their_names() -> None:
    (copy,) = COPY.actions
    assert isinstance(copy, Copy)
    assert keys.selector(copy, Tree(Path("/x"))) == ""
    assert keys.selector(copy, ref("a")) == keys.selector(
        replace(copy, destination="/b", owner="1"), ref("a")
    )
    assert keys.selector(copy, ref("a")) != keys.selector(copy, ref("b"))
    assert keys.selector(copy, ref("a")) != keys.selector(replace(copy, sources=["b"]), ref("a"))
    assert keys.selector(copy, ref("a")) != keys.selector(replace(copy, exclude=["b"]), ref("a"))
    assert keys.selector(copy, ref("a")) != keys.selector(replace(copy, keyword="COPY"), ref("a"))


def test_how_the_first_builder_counts_is_no_part_of_what_a_copy_does() -> None:
    (copy,) = COPY.actions
    assert isinstance(copy, Copy)
    counted = replace(COPY, actions=[replace(copy, keyword="COPY", several=False)])
    assert keys.key_of(counted, ref("a"), ["c"]) == keys.key_of(COPY, ref("a"), ["c"])
    for other in (replace(copy, unpack=True), replace(copy, owner="1"), replace(copy, destination="/b")):
        assert keys.key_of(replace(COPY, actions=[other]), ref("a"), ["c"]) != keys.key_of(
            COPY, ref("a"), ["c"]
        )


def test_what_is_known_of_a_named_tree_is_known_by_its_name() -> None:
    (copy,) = COPY.actions
    assert isinstance(copy, Copy)
    one, again, other = Tree(Path("/x"), "1"), Tree(Path("/y"), "1"), Tree(Path("/x"), "2")
    assert keys.selector(copy, one) == keys.selector(copy, again) != ""
    assert keys.selector(copy, one) != keys.selector(copy, other)
    assert keys.selector(copy, one) != keys.selector(copy, ref("1"))


def test_vertices_that_are_alike_have_one_name() -> None:
    digests = keys.Digests()
    one, two = (Vertex(name="a", operation=RUN) for _ in range(2))
    assert digests(one) == digests(two)
    assert digests(Vertex(name="b", operation=RUN)) != digests(one)
    assert digests(Vertex(name="a", operation=RUN, inputs=[one])) != digests(one)


def test_what_former_versions_made_is_found() -> None:
    run = replace(RUN, mounts=[RunMount(kind="bind", target="/t", source=1, mode=7)], extra_hosts=("a:1",))
    files = replace(
        COPY,
        actions=[*COPY.actions, MakeFile(destination="/", name="n", content=b"c"), MakeDirectory(path="/x")],
        epoch=3,
    )
    assert [keys.key_of(run, ref("a"), ["x"]), keys.key_of(files, ref("a"), ["x", "y"])] == [
        "sha256:c7c0e3b3a1f4403cba6df02e0094a5f4fd1a6f3441addf57015d827f2c32f961",
        "sha256:2ca9988b3ea84a4f00bd1efd18c7671073d225cef480a10d78a4bb7a7aefbeaa",
    ]
    (copy,) = COPY.actions
    assert isinstance(copy, Copy)
    assert keys.selector(copy, ref("a")) == (
        "sha256:cc83d2be036c89384d9f657008f89de2cc2a9b38e3e57e5d8df63d502822cb72"
    )
