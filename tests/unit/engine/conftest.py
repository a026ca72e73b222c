"""A configuration file for each test."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.engine.configuring import Written


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a daemon.json and gives the arguments that name it."""

    def write(document: Any) -> list[str]:
        path = tmp_path / "daemon.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return ["--config-file", str(path)]

    return write
