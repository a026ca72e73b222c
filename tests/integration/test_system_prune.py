"""`docker system prune` and its parts, with the official CLI, where nothing is built and no network made."""

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root


def test_what_has_nothing_to_remove(wherryd: Wherryd) -> None:
    assert wherryd.docker("network", "prune", "-f").stdout == ""
    done = wherryd.docker("network", "prune", "-f", "--filter", "dangling=true", check=False)
    assert "invalid filter 'dangling'" in done.stderr
    wherryd.docker("create", "--name", "left", "busybox", "true")
    told = wherryd.docker("system", "prune", "-f").stdout
    assert told.startswith("Deleted Containers:\n")
    assert "Total reclaimed space: " in told
    assert wherryd.docker("ps", "-aq").stdout == ""
