"""What each API version above 1.45 changes, against bodies written by hand: a real dockerd 26 ends at 1.45.

A file of `golden/` is a request, the whole answer to it at 1.45, and what versions after that change of it, each change
with its source. The answer is compared whole at every version: a gate that is missing fails, and one too many as well.

    request: GET /containers/box/json    body and headers under `send` and `headers`
    given: annotated                     a state of the engine in memory, by its name in `GIVEN`
    mask: [/0/Status]                    what differs from run to run
    status: 200
    type: application/json               its content type, where that matters
    body: …                              of the answer at 1.45; a list of messages for a stream
    asked: …                             what the engine was asked to do, as far as it is not empty
    changes:
      - version: "1.48"
        source: where it says so
        add: {/path: value}              also `set`, `remove: [/path]`, and `status`, `type`, `body`, `asked` as a whole

Of the API's history (moby's api/docs/CHANGELOG.md) no file has: what is asked of endpoints that are refused by name
(attestations) or belongs to swarms; fields that nothing here can fill (who built or signed an image); what Docker takes
at every version (tmpfs options); what is deprecated and goes on (`error`, `progress`, /session, /grpc).
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from engine.containers.config import EndpointConfig, HostConfig
from engine.containers.container import Container
from engine.events.event import Event
from engine.volumes.prune import Usage
from tests.unit.api.conftest import Served
from tests.unit.api.memory import MemoryEngine
from tests.unit.api.samples import CREATED, ID, IMAGE_ID, image, running
from tests.unit.api.test_upkeep import SAMPLE
from volumes.volume import Volume

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = [f"1.{minor}" for minor in range(45, 56)]
EVERY = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(GOLDEN.glob("*.yaml"))}
ALL_INFO = {
    "ID": "x",
    "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": None},
    "Containerd": {"Address": "/run/containerd/containerd.sock"},
    "ContainerdCommit": {"ID": "abc"},
    "RuncCommit": {"ID": "def"},
    "InitCommit": {"ID": ""},
    "FirewallBackend": {"Driver": "nftables"},
    "DiscoveredDevices": [{"Source": "cdi", "ID": "vendor.example/gpu=0"}],
    "NRI": {"Info": [["plugin-path", "/opt/nri/plugins"]]},
}


def _annotated(engine: MemoryEngine) -> None:
    engine.containers.records = {
        ID: running(host_config=HostConfig(network_mode="bridge", annotations={"a": "b"}))
    }


def _told(engine: MemoryEngine) -> None:
    """A fixed MAC address, limits of old, and what a base image may say."""
    made: Container = running(
        networks={"bridge": EndpointConfig(mac_address="02:42:ac:11:00:02", gw_priority=3)}
    )
    made.config.on_build = ["RUN x"]
    made.host_config.kernel_memory, made.host_config.kernel_memory_tcp = 6, 5
    made.host_config.masked_paths = made.host_config.readonly_paths = []
    engine.containers.records = {ID: made}


def _events(engine: MemoryEngine) -> None:
    at = CREATED
    engine.events.stored = [
        Event(type="image", action="create", actor_id=IMAGE_ID, attributes={"name": IMAGE_ID}, time_ns=at),
        Event(type="image", action="tag", actor_id=IMAGE_ID, attributes={"name": "bb:1"}, time_ns=at + 1),
        Event(type="container", action="start", actor_id=ID, attributes={"image": "bb:1"}, time_ns=at + 2),
        Event(type="volume", action="create", actor_id="v", attributes={"driver": "local"}, time_ns=at + 3),
    ]


def _stats(engine: MemoryEngine) -> None:
    engine.stats.samples = [SAMPLE]


def _info(engine: MemoryEngine) -> None:
    kind = msgspec.defstruct("Info", [(name, Any) for name in ALL_INFO])

    async def info() -> msgspec.Struct:
        return kind(**copy.deepcopy(ALL_INFO))

    engine.system.info = info  # type: ignore[method-assign]


def _volume(engine: MemoryEngine) -> None:
    engine.volume_prune.used = [Usage(volume=Volume(name="data", created=CREATED), users=1, size=7)]


def _log(engine: MemoryEngine) -> None:
    engine.containers.log.put_nowait(None)


def _pulled(engine: MemoryEngine) -> None:
    repositories = ["docker.io/library/bb", "reg.example:5000/team/bb"]
    engine.images.records = [image(repositories=repositories)]


GIVEN: dict[str, Callable[[MemoryEngine], None]] = {
    "annotated": _annotated,
    "told": _told,
    "events": _events,
    "stats": _stats,
    "info": _info,
    "log": _log,
    "pulled": _pulled,
    "volume": _volume,
}


@pytest.mark.parametrize("name", EVERY)
async def test_every_version(served: Served, name: str) -> None:
    golden = EVERY[name]
    assert golden.keys() <= {
        "request",
        "given",
        "headers",
        "send",
        "mask",
        "status",
        "type",
        "body",
        "asked",
        "changes",
    }
    expected = {key: golden.get(key) for key in ("type", "body", "asked")} | {
        "status": golden.get("status", 200)
    }
    for version in VERSIONS:
        for change in golden["changes"]:
            if change["version"] == version:
                expected = _changed(expected, change)
        found = await _answer(served, golden, f"/v{version}")
        assert _text(found) == _text(_masked(golden, expected)), f"{name} at {version}"
    found = await _answer(served, golden, "")
    assert _text(found) == _text(_masked(golden, expected)), f"{name} without a version"


def test_every_version_has_its_changes() -> None:
    changes = [change for golden in EVERY.values() for change in golden["changes"]]
    assert sorted({change["version"] for change in changes}) == VERSIONS[1:]
    assert all(change["source"].strip() for change in changes)


async def _answer(served: Served, golden: dict[str, Any], prefix: str) -> dict[str, Any]:
    engine = served.engine
    engine.containers.records = {ID: running()}
    engine.containers.created.clear()
    engine.updates.asked.clear()
    engine.networks.forget()
    engine.containers.calls.clear()
    engine.build_cache.wanted.clear()
    GIVEN.get(golden.get("given", ""), lambda _: None)(engine)
    method, target = golden["request"].split(" ", 1)
    options: dict[str, Any] = {"headers": golden.get("headers", {})}
    if "send" in golden:
        options["json"] = golden["send"]
    async with served.session.request(method, f"http://d{prefix}{target}", **options) as answer:
        text = await answer.text()
        streamed = "events" in target
        body = [json.loads(line) for line in text.splitlines()] if streamed else json.loads(text or "null")
        found = {
            "status": answer.status,
            "type": answer.content_type if "type" in golden else None,
            "body": body,
            "asked": _asked(engine) if "asked" in golden else None,
        }
    return _masked(golden, found)


def _asked(engine: MemoryEngine) -> Any:
    """What reached the engine, without what says nothing."""
    for _, config, host, networking, _ in engine.containers.created:
        return _said({"Config": config, "HostConfig": host, "NetworkingConfig": networking})
    connects = [call[1:] for call in engine.containers.calls if call[0] == "connect"]
    asked = [*engine.updates.asked, *engine.networks.asked, *connects, *engine.build_cache.wanted]
    return _said(asked[0]) if asked else None


def _said(value: Any) -> Any:
    plain = msgspec.to_builtins(value)
    if isinstance(plain, dict):
        shaped = {key: _said(each) for key, each in plain.items()}
        return {key: each for key, each in shaped.items() if each not in (None, 0, "", {}, False)}
    return [_said(each) for each in plain] if isinstance(plain, list | tuple) else plain


def _text(answer: dict[str, Any]) -> str:
    """A line for each value, so that a failure shows the lines that differ."""
    return json.dumps(answer, indent=1, sort_keys=True)


def _masked(golden: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    masked = copy.deepcopy(answer)
    for path in golden.get("mask", ()):
        holder, key = _place(masked["body"], path)
        holder[key] = "(masked)"
    return masked


def _changed(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    assert change.keys() <= {"version", "source", "add", "set", "remove", "status", "type", "body", "asked"}
    after = copy.deepcopy(before)
    after |= {key: change[key] for key in ("status", "type", "body", "asked") if key in change}
    for path, value in change.get("add", {}).items():
        holder, key = _place(after["body"], path)
        assert key not in holder, f"{path} is there already"
        holder[key] = value
    for path, value in change.get("set", {}).items():
        holder, key = _place(after["body"], path)
        assert holder[key] != value, f"{path} is that already"
        holder[key] = value
    for path in change.get("remove", ()):
        holder, key = _place(after["body"], path)
        del holder[key]
    return after


def _place(body: Any, path: str) -> tuple[Any, Any]:
    """Where a path such as /0/Networks ends: what holds it, and its key there."""
    keys = path.removeprefix("/").split("/")
    for key in keys[:-1]:
        body = body[int(key) if isinstance(body, list) else key]
    return body, int(keys[-1]) if isinstance(body, list) else keys[-1]
