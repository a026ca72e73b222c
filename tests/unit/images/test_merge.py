from engine.containers.config import ContainerConfig, Healthcheck
from engine.images.merge import merge_config

IMAGE = ContainerConfig(
    user="app",
    env=["PATH=/bin", "A=image"],
    cmd=["serve"],
    entrypoint=["/init"],
    labels={"a": "image", "b": "image"},
    exposed_ports={"80/tcp": {}},
    volumes={"/data": {}},
    working_dir="/srv",
    stop_signal="SIGQUIT",
    healthcheck=Healthcheck(test=["CMD", "probe"], interval=5, retries=3),
    shell=["/bin/ash"],
)


def test_an_empty_container_takes_all_of_the_image() -> None:
    merged = merge_config(ContainerConfig(), IMAGE)
    assert (merged.user, merged.env, merged.cmd, merged.entrypoint) == (
        "app",
        ["PATH=/bin", "A=image"],
        ["serve"],
        ["/init"],
    )
    assert merged.labels == {"a": "image", "b": "image"}
    assert (merged.working_dir, merged.stop_signal) == ("/srv", "SIGQUIT")
    assert merged.healthcheck == IMAGE.healthcheck
    assert merged.shell is None


def test_what_the_container_says_wins_and_sets_are_united() -> None:
    own = ContainerConfig(
        user="root",
        env=["A=own", "B"],
        labels={"a": "own"},
        exposed_ports={"53/udp": {}},
        volumes={"/own": {}},
        healthcheck=Healthcheck(interval=9),
    )
    merged = merge_config(own, IMAGE)
    assert merged.user == "root"
    assert merged.env == ["A=own", "B", "PATH=/bin"]
    assert merged.labels == {"a": "own", "b": "image"}
    assert merged.exposed_ports == {"53/udp": {}, "80/tcp": {}}
    assert merged.volumes == {"/own": {}, "/data": {}}
    assert merged.healthcheck == Healthcheck(test=["CMD", "probe"], interval=9, retries=3)
    assert own.env == ["A=own", "B"]
    assert IMAGE.labels == {"a": "image", "b": "image"}


def test_commands_and_entrypoints() -> None:
    def both(
        entrypoint: list[str] | None = None, cmd: list[str] | None = None
    ) -> tuple[list[str] | None, list[str] | None]:
        merged = merge_config(ContainerConfig(entrypoint=entrypoint, cmd=cmd), IMAGE)
        return merged.entrypoint, merged.cmd

    assert both(cmd=["other"]) == (["/init"], ["other"])
    assert both(cmd=[]) == (["/init"], ["serve"])
    assert both(entrypoint=["/own"]) == (["/own"], None)
    assert both(entrypoint=["/own"], cmd=["x"]) == (["/own"], ["x"])
    assert both(entrypoint=[]) == ([], ["serve"])
    assert both(entrypoint=[""]) == (None, None)
    assert both(entrypoint=[""], cmd=["x"]) == (None, ["x"])
