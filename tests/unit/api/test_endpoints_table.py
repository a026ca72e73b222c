"""`docs/endpoints.md` says what the routes are."""

import csv
from pathlib import Path

from api.endpoints import all_routes, table
from api.routing import Router

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(__file__).with_name("docker_endpoints.tsv")


def test_the_page_is_what_the_routes_are() -> None:
    page = (ROOT / "docs/endpoints.md").read_text()
    assert page == table(all_routes()), "run: python -m api.endpoints > docs/endpoints.md"


def test_every_endpoint_of_docker_is_answered_by_name() -> None:
    router = Router(all_routes())
    with DATA.open() as file:
        rows = list(csv.reader(file, delimiter="\t"))
    missing = [(method, path) for method, path in rows if router.find(method, path) is None]
    assert len(rows) > 100
    assert missing == []


def test_no_route_is_there_twice() -> None:
    routes = [(route.method, route.path) for route in all_routes()]
    assert len(routes) == len(set(routes))


def test_literal_paths_win_over_names() -> None:
    router = Router(all_routes())
    for method, path in (("GET", "/images/json"), ("GET", "/images/search"), ("POST", "/containers/create")):
        found = router.find(method, path)
        assert found is not None
        assert found[0].path == path


def test_longer_paths_win_over_shorter() -> None:
    router = Router(all_routes())
    for method, path in (("GET", "/services/x/logs"), ("GET", "/tasks/x/logs"), ("GET", "/images/a/b/json")):
        found = router.find(method, path)
        assert found is not None
        assert found[0].path.rpartition("/")[2] == path.rpartition("/")[2]


def test_ids_of_a_swarm_hold_no_slash() -> None:
    router = Router(all_routes())
    assert router.find("GET", "/nodes/x") is not None
    assert router.find("GET", "/nodes/x/more") is None
    assert router.find("GET", "/networks/a/b") is not None
