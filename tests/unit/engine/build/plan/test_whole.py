"""Configs of images whose steps are done: layers, and a history with times."""

from engine.build.plan import whole
from engine.build.plan.plan import SOURCES, Entry
from engine.build.plan.texts import duration, health, port_set, quoted_list
from engine.build.plan.whole import Done, Made
from engine.build.steps import Files, Vertex
from engine.containers.config import ContainerConfig, Healthcheck
from engine.images.config import History, ImageConfig

SECOND = 10**9
BASE = ImageConfig(
    architecture="amd64",
    os="linux",
    config=ContainerConfig(cmd=["sh"]),
    history=[History(created="2020-01-01T00:00:00Z", created_by="base")],
)


def vertex(name: str) -> Vertex:
    return Vertex(name=name, operation=Files(actions=()))


def test_settings_have_the_time_of_the_first_new_layer_or_of_the_last_one() -> None:
    one, two = vertex("one"), vertex("two")
    entries = [
        Entry(created_by="ENV a"),
        Entry(created_by="RUN one", vertex=one),
        Entry(created_by="ENV b"),
        Entry(created_by="RUN two", vertex=two),
        Entry(created_by="ENV c"),
    ]
    done = {one: Done(changed=True, created=100 * SECOND), two: Done(changed=False, created=200 * SECOND)}
    config = whole.config_of(BASE, entries, Made(diff_ids=["x"], done=done))
    assert [(each.created[14:19], each.empty_layer) for each in config.history] == [
        ("00:00", False),
        ("01:40", True),
        ("01:40", False),
        ("01:40", True),
        ("03:20", True),
        ("03:20", True),
    ]
    assert config.created == "1970-01-01T00:03:20Z"
    assert config.diff_ids == ["x"]
    assert {each.comment for each in config.history[1:]} == {"buildkit.dockerfile.v0"}


def test_settings_alone_have_the_time_of_the_base() -> None:
    config = whole.config_of(BASE, [Entry(created_by="ENV a")], Made(diff_ids=[], done={}))
    assert config.created == config.history[-1].created == "2020-01-01T00:00:00Z"


def test_a_time_that_is_asked_for_is_everybodys() -> None:
    one = vertex("one")
    entries = [Entry(created_by="ENV a"), Entry(created_by="RUN one", vertex=one)]
    made = Made(diff_ids=[], done={one: Done(changed=True, created=5)}, epoch=0)
    config = whole.config_of(BASE, entries, made)
    assert {each.created for each in config.history[1:]} == {"1970-01-01T00:00:00Z"}
    assert config.history[0].created == "2020-01-01T00:00:00Z"


def test_the_classic_builder_tells_what_it_copied() -> None:
    one = vertex("one")
    command = ["/bin/sh", "-c", f"#(nop) COPY {SOURCES} in / "]
    entry = Entry(created_by=" ".join(command), command=command, vertex=one, hashed=True)
    done = {one: Done(changed=True, created=1, contents=["sha256:ab"])}
    config = whole.config_of(BASE, [entry], Made(diff_ids=[], done=done, classic=True))
    assert config.history[-1].created_by == "/bin/sh -c #(nop) COPY file:ab in / "
    assert config.history[-1].comment == ""
    assert config.container_config is not None
    assert config.container_config.cmd == ["/bin/sh", "-c", "#(nop) COPY file:ab in / "]
    assert config.run.cmd == ["sh"]


def test_values_in_the_words_of_go() -> None:
    assert quoted_list(["a b", 'c"d', "e\n", "\x01é"]) == r'["a b" "c\"d" "e\n" "\x01é"]'
    assert port_set(["80/tcp", "53/udp"]) == "map[53/udp:{} 80/tcp:{}]"
    shown = [
        duration(each)
        for each in (0, 1, 1500, 1_500_000, SECOND, 90 * SECOND, 3600 * SECOND, 3_661_500_000_000)
    ]
    assert shown == ["0s", "1ns", "1.5µs", "1.5ms", "1s", "1m30s", "1h0m0s", "1h1m1.5s"]
    assert health(Healthcheck(test=["NONE"], retries=39)) == r"""&{["NONE"] "0s" "0s" "0s" "0s" '\''}"""
    assert health(Healthcheck(test=[], retries=34)).endswith("""'"'}""")
