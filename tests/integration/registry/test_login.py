"""`docker login` and what else the official CLI asks of a registry through the daemon."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.daemon import Wherryd
from tests.integration.registry.conftest import LAYER
from tests.registries import DOCKER_MANIFEST, PASSWORD, USER, DebianRegistry

pytestmark = pytest.mark.root
Make = Callable[..., DebianRegistry]


def _login(daemon: Wherryd, registry: DebianRegistry, password: str) -> tuple[int, str]:
    argv = ("login", "--username", USER, "--password-stdin", registry.netloc)
    done = daemon.docker(*argv, stdin=password.encode(), check=False)
    return done.returncode, done.stdout + done.stderr


def test_docker_login(wherryd: Wherryd, make_registry: Make) -> None:
    registry = make_registry(htpasswd=True)
    registry.put_image("x", "1", [LAYER])
    status, text = _login(wherryd, registry, "wrong-word")
    assert status == 1
    assert f"login attempt to http://{registry.netloc}/v2/ failed with status: 401 Unauthorized" in text
    status, text = _login(wherryd, registry, PASSWORD)
    assert (status, "Login Succeeded" in text) == (0, True)
    kept = json.loads(Path(wherryd.client_env["HOME"], ".docker/config.json").read_text())
    assert list(kept["auths"]) == [registry.netloc]
    wherryd.docker("logout", registry.netloc)
    log = wherryd.log.read_text()
    assert PASSWORD not in log
    assert "wrong-word" not in log


def test_a_look_into_a_registry(wherryd: Wherryd, plain: DebianRegistry) -> None:
    raw, digest = plain.put_image("look/x", "1", [LAYER], variant="v8")
    for name in (f"{plain.netloc}/look/x:1", f"{plain.netloc}/look/x@{digest}"):
        answer = wherryd.get(f"/distribution/{quote(name)}/json")
        assert (answer.status, answer.json) == (
            200,
            {
                "Descriptor": {"mediaType": DOCKER_MANIFEST, "digest": digest, "size": len(raw)},
                "Platforms": [{"architecture": "amd64", "os": "linux", "variant": "v8"}],
            },
        )
    answer = wherryd.get(f"/distribution/{quote(plain.netloc)}/none/json")
    assert (answer.status, answer.json["message"]) == (404, "manifest unknown: manifest unknown")
